"""Exports of a Confluence space: HTML, a file a page; or XML, all in entities.xml. Each as a folder or a zip file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from selectolax.lexbor import LexborHTMLParser

from cli.documents.sources.archive import Archive, open_archive
from cli.documents.sources.confluence_entities import Attachment, read_entities
from cli.documents.sources.source import BadSource, FoundDocument, SourceScan, filed
from services.runtime.labels import filled
from services.runtime.media_types import HTML, by_ending

ENTITIES = "entities.xml"
LARGEST_PAGE = 64 << 20
BETWEEN = " : "
CONTENT = "#main-content"


@dataclass(frozen=True, slots=True)
class ConfluenceSource:
    """An export. Ids are `prefix` and the entry's name, of a page of XML the space's key and the page's number."""

    path: Path
    prefix: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        with open_archive(self.path) as archive:
            entities = [name for name in archive.entries if PurePosixPath(name).name == ENTITIES]
            if len(entities) == 1:
                return self._from_xml(archive, entities[0], workspace)
            pages = [name for name in archive.entries if name.endswith(".html")]
            scan = self._from_html(archive, pages, workspace)
        if not scan.documents:
            raise BadSource(f"{self.path.name} is no export of a Confluence space: no page and no {ENTITIES} is in it")
        return scan

    def _from_html(self, archive: Archive, pages: list[str], workspace: Path) -> SourceScan:
        scan = SourceScan()
        attached: dict[str, Attachment] = {}
        for name in pages:
            if archive.entries[name].size > LARGEST_PAGE:
                scan.fail(self.prefix + name, f"the page is larger than {LARGEST_PAGE >> 20} MiB")
                continue
            with archive.open(name) as source:
                tree = LexborHTMLParser(source.read().decode("utf-8", "replace"))
            content = tree.css_first(CONTENT)
            if content is None:
                scan.skip("no page", name)
                continue
            title, labels = _title(tree), _labels(tree)
            self._add(scan, name, title, HTML, (content.html or "").encode(), labels, workspace)
            for link in tree.css("a[href^='attachments/']"):
                at = (PurePosixPath(name).parent / (link.attributes.get("href") or "").partition("?")[0]).as_posix()
                if at in archive.entries:
                    attached.setdefault(at, Attachment(at, link.text().strip(), at, {**labels, "page": title}))
        for attachment in attached.values():
            self._attachment(scan, archive, attachment.name, attachment, workspace)
        return scan

    def _attachment(
        self, scan: SourceScan, archive: Archive, entry: str, attachment: Attachment, workspace: Path
    ) -> None:
        """Take an attachment, which is the archive's `entry`."""
        media_type = by_ending(attachment.file_name)
        if media_type is None:
            scan.skip("attachments of another type", attachment.title or attachment.name)
        elif entry not in archive.entries:
            scan.skip("attachments that are not in the export", attachment.title or attachment.name)
        elif archive.entries[entry].size > LARGEST_PAGE:
            scan.fail(self.prefix + attachment.name, f"the attachment is larger than {LARGEST_PAGE >> 20} MiB")
        else:
            with archive.open(entry) as source:
                data = source.read()
            self._add(scan, attachment.name, attachment.title, media_type, data, attachment.labels, workspace)

    def _from_xml(self, archive: Archive, entities: str, workspace: Path) -> SourceScan:
        scan = SourceScan()
        with archive.open(entities) as source:
            export = read_entities(source, workspace)
        for why, count in export.left_out.items():
            scan.skip(why, count=count)
        for page in export.pages:
            data = (workspace / page.body).read_bytes() if page.body else b""
            name = f"{page.labels.get('space', 'space')}/{page.id}"
            if data.strip():
                self._add(scan, name, page.title, HTML, data, page.labels, workspace)
            else:
                scan.skip("empty pages", page.title)
        root = PurePosixPath(entities).parent
        for attachment in export.attachments:
            self._attachment(scan, archive, (root / attachment.name).as_posix(), attachment, workspace)
        return scan

    def _add(
        self, scan: SourceScan, name: str, title: str, media_type: str, data: bytes, labels: Mapping[str, str],
        workspace: Path,
    ) -> None:  # fmt: skip
        copy = workspace / f"document-{len(scan.documents)}"
        copy.write_bytes(data)
        uri = f"{self.path.absolute().as_uri()}#{name}"
        document = FoundDocument(
            self.prefix + name, uri, media_type, filed(copy), title[:1000], filled(self.labels, labels)
        )
        scan.documents.append(document)


def _title(tree: LexborHTMLParser) -> str:
    """The page's own, without the space's name before it."""
    node = tree.css_first("#title-text") or tree.css_first("title")
    text = " ".join(node.text().split()) if node is not None else ""
    crumb = tree.css_first("#breadcrumbs a")
    space = " ".join(crumb.text().split()) if crumb is not None else ""
    return text.removeprefix(space + BETWEEN) if space else text.partition(BETWEEN)[2] or text


def _labels(tree: LexborHTMLParser) -> dict[str, str]:
    crumbs = [" ".join(node.text().split()) for node in tree.css("#breadcrumbs a")]
    labels = {"space": crumbs[0] if crumbs else "", "parents": " / ".join(crumbs[1:])}
    for key in ("author", "editor"):
        node = tree.css_first(f".page-metadata .{key}")
        labels[key] = " ".join(node.text().split()) if node is not None else ""
    return {key: value for key, value in labels.items() if value}
