"""The file of `headworks sync`: named sources, and the collections that are kept equal to them."""

from abc import ABC, abstractmethod
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cli.documents.labels import BadLabels, checked
from cli.documents.sources.confluence import ConfluenceSource
from cli.documents.sources.fetch import Manners
from cli.documents.sources.files import GitSource, ZipSource
from cli.documents.sources.folder import FolderSource
from cli.documents.sources.jira import JiraSource
from cli.documents.sources.records import RecordPaths, RecordsSource, media_type_of
from cli.documents.sources.source import Source
from cli.documents.sources.web import WebLimits, WebSource
from cli.documents.web_options import BYTES, DELAY, PAGES
from services.runtime import strict_yaml
from services.runtime.labels import value_of
from services.runtime.strict_yaml import BadYaml

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Patterns = Annotated[tuple[str, ...], Field(max_length=100)]
Group = Annotated[str, Field(min_length=1, max_length=200)]


class BadSyncFile(ValueError):
    """What is wrong, by line and field."""


def _labels(given: object) -> object:
    """Plain values as texts. Raises ValueError where one can be no label."""
    if not isinstance(given, dict):
        return given
    labels = {str(key): value_of(value) or "" for key, value in given.items()}
    try:
        return checked(labels)
    except BadLabels as error:
        raise ValueError(str(error)) from error


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSpec(_Part, ABC):
    """A source. `collection` is empty for the file's own. `include` and `exclude` are patterns of its ids, without the
    name before them, in which `*` stands for "/" too. Its documents are for members of `groups` to read, or for
    everybody where there are none."""

    name: Name
    kind: str
    collection: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,63})?$")] = ""
    include: Patterns = ()
    exclude: Patterns = ()
    groups: Annotated[tuple[Group, ...], Field(max_length=64)] = ()
    labels: Annotated[dict[str, str], BeforeValidator(_labels)] = Field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """What stands before its ids, so that two sources have none in common."""
        return f"{self.name}/"

    def takes(self, document_id: str) -> bool:
        """Whether the patterns take a document of it."""
        name = document_id.removeprefix(self.prefix)
        wanted = not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)
        return wanted and not any(fnmatchcase(name, pattern) for pattern in self.exclude)

    @abstractmethod
    def source(self, base: Path) -> Source:
        """What is read; paths are relative to `base`."""


class PathSpec(SourceSpec):
    """A source at a path of this machine."""

    kind: Literal["folder", "git", "zip", "confluence", "jira"]
    path: str = Field(min_length=1)
    follow_links: bool = False

    @model_validator(mode="after")
    def _links(self) -> "PathSpec":
        if self.follow_links and self.kind != "folder":
            raise ValueError("follow_links is for folders only")
        return self

    def source(self, base: Path) -> Source:
        """See SourceSpec."""
        path = base / Path(self.path).expanduser()
        match self.kind:
            case "folder":
                return FolderSource(path, self.prefix, self.labels, self.follow_links)
            case "git":
                return GitSource(path, self.prefix, self.labels)
            case "zip":
                return ZipSource(path, self.prefix, self.labels)
            case "confluence":
                return ConfluenceSource(path, self.prefix, self.labels)
            case "jira":
                return JiraSource(path, self.prefix, self.labels)


class RecordsSpec(SourceSpec):
    """Records of a file of JSON or JSON lines; see RecordPaths. `format` is that of the texts."""

    kind: Literal["records"]
    path: str = Field(min_length=1)
    text: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)]
    title: str = ""
    id: str = ""
    meta: dict[str, str] = Field(default_factory=dict)
    list: str = ""
    format: Literal["txt", "md", "html"] = "txt"

    def source(self, base: Path) -> Source:
        """See SourceSpec."""
        paths = RecordPaths(self.text, self.title, self.id, self.meta, self.list, media_type_of(self.format))
        return RecordsSource(base / Path(self.path).expanduser(), self.prefix, paths, self.labels)


class WebSpec(SourceSpec):
    """A site, whose documents' ids are their addresses."""

    kind: Literal["web", "sitemap"]
    url: str = Field(min_length=1)
    depth: int = Field(0, ge=0, le=20)
    pages: int = Field(PAGES, ge=1, le=100_000)
    bytes: int = Field(BYTES, ge=1)
    delay: float = Field(DELAY, ge=0, le=60)
    below: bool = False
    allow_private: bool = False

    @property
    def prefix(self) -> str:
        """Nothing: an address is one already."""
        return ""

    def source(self, base: Path) -> Source:
        """See SourceSpec."""
        limits = WebLimits(self.pages, self.bytes, self.depth, self.below)
        return WebSource(
            self.url, limits, Manners(self.delay, allow_private=self.allow_private), self.labels,
            sitemap=self.kind == "sitemap",
        )  # fmt: skip


class SyncFile(_Part):
    """All of it. `collection` is that of the sources that name none."""

    collection: Name = "default"
    sources: Annotated[
        tuple[Annotated[PathSpec | RecordsSpec | WebSpec, Field(discriminator="kind")], ...],
        Field(min_length=1, max_length=1000),
    ]

    @model_validator(mode="after")
    def _names_once(self) -> "SyncFile":
        names = [each.name for each in self.sources]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"sources: {twice} is there twice")
        return self

    def collection_of(self, spec: SourceSpec) -> str:
        return spec.collection or self.collection


def parse_sync_file(text: str) -> SyncFile:
    """Raises BadSyncFile."""
    try:
        document = strict_yaml.read(text)
    except BadYaml as error:
        raise BadSyncFile(str(error)) from error
    data: Any = document.data
    if not isinstance(data, dict):
        raise BadSyncFile("the file is a mapping with `sources`")
    try:
        return SyncFile.model_validate(data)
    except ValidationError as error:
        raise BadSyncFile("; ".join(map(str, document.problems(error, form=SyncFile)))) from error
