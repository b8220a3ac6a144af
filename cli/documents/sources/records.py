"""Records of JSON or JSON lines: each is a document, its text, title, id and labels at the paths that are named.

A path leads by names, and by numbers within lists: `fields.body`, `authors.0.name`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from cli.documents.labels import BadLabels, checked
from cli.documents.sources.source import BadSource, FoundDocument, SourceScan, filed
from services.runtime.file_faults import fault
from services.runtime.labels import filled, value_of
from services.runtime.media_types import MEDIA_TYPES, PLAIN, by_ending

LINES = (".jsonl", ".ndjson")
LARGEST = 512 << 20
LONGEST_LINE = 64 << 20


@dataclass(frozen=True, slots=True)
class RecordPaths:
    """Where in a record its parts are. Texts are put one below the other. `records` leads to the list of records, ""
    where the file is that list; `identity` is "" where records go by their number; `media_type` is that of the text."""

    text: tuple[str, ...]
    title: str = ""
    identity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    records: str = ""
    media_type: str = PLAIN


def media_type_of(form: str) -> str:
    """That of a text with this ending."""
    return MEDIA_TYPES[f".{form}"]


@dataclass(frozen=True, slots=True)
class RecordsSource:
    """A file of records. Ids are `prefix` and the record's own, or its number."""

    path: Path
    prefix: str
    paths: RecordPaths
    labels: Mapping[str, str] = field(default_factory=dict)

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        scan = SourceScan()
        met: set[str] = set()
        try:
            if self.path.is_dir():
                raise BadSource("it is a folder: name a file of JSON or JSON lines")
            if self.path.stat().st_size > LARGEST:
                raise BadSource(f"it is larger than {LARGEST >> 20} MiB")
            with self.path.open("rb") as source:
                for number, record in self._records(source, scan):
                    self._take(number, record, scan, met, workspace)
        except OSError as error:
            raise BadSource(f"it cannot be read: {fault(error)}") from error
        if not met:
            raise BadSource(f"no record has a text at {' or '.join(self.paths.text)}{_offered(self.path)}")
        return scan

    def _records(self, source: BinaryIO, scan: SourceScan) -> Iterator[tuple[int, Any]]:
        """Each with its number, from 1."""
        if self.path.suffix.lower() in LINES:
            yield from _lines(source, scan)
            return
        try:
            data = _at(orjson.loads(source.read()), self.paths.records)
        except orjson.JSONDecodeError as error:
            raise BadSource(f"it is no valid JSON: {error}") from error
        if not isinstance(data, list):
            where = self.paths.records or "its top"
            raise BadSource(f"there is no list at {where}: say where the records are, such as `data.items`")
        yield from enumerate(data, start=1)

    def _take(self, number: int, record: Any, scan: SourceScan, met: set[str], workspace: Path) -> None:
        paths = self.paths
        text = "\n\n".join(filter(None, (_text(_at(record, path)) for path in paths.text)))
        own = _text(_at(record, paths.identity)) if paths.identity else str(number)
        if not text:
            scan.skip("records without a text", own or f"record {number}")
        elif not own:
            scan.failures.append((f"record {number}", f"it has nothing at {paths.identity}, by which it would go"))
        elif own in met:
            scan.skip("records that are there twice", own)
        else:
            met.add(own)
            try:
                labels = checked(filled(self.labels, _labels(record, paths.labels)))
            except BadLabels as error:
                scan.failures.append((self.prefix + own, str(error)))
                return
            copy = workspace / str(len(scan.documents))
            copy.write_text(text, "utf-8", errors="replace")
            uri = f"{self.path.absolute().as_uri()}#{own}"
            title = " ".join(_text(_at(record, paths.title)).split()) if paths.title else ""
            scan.documents.append(FoundDocument(self.prefix + own, uri, paths.media_type, filed(copy), title, labels))


def _lines(source: BinaryIO, scan: SourceScan) -> Iterator[tuple[int, Any]]:
    number = 0
    while line := source.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise BadSource(f"line {number} is longer than {LONGEST_LINE >> 20} MiB")
        if not line.strip():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError as error:
            scan.fail(f"line {number}", f"it is no valid JSON: {error}")


def _at(value: Any, path: str) -> Any:
    """What the path leads to; None where it leads nowhere."""
    for name in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _text(value: Any) -> str:
    """A text, a number, or a list of them, a line each; "" for anything else."""
    if isinstance(value, list):
        return "\n".join(filter(None, map(_text, value)))
    plain = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value).strip() if plain else ""


def _labels(record: Any, paths: Mapping[str, str]) -> dict[str, str]:
    found = {key: value_of(_at(record, path)) for key, path in paths.items()}
    return {key: value for key, value in found.items() if value is not None}


def _offered(path: Path) -> str:
    return "" if by_ending(path.name) else f"; is {path.name} a file of JSON or JSON lines?"
