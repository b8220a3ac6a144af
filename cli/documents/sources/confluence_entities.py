"""entities.xml of a Confluence export: objects that name each other by number, read one after the other.

Bodies are written to files as they come, since pages and their bodies are far apart and all together may be gigabytes.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from cli.documents.sources.confluence_storage import storage_to_html
from cli.documents.sources.source import BadSource

PAGES = ("Page", "BlogPost")
CURRENT = "current"
DEEPEST = 100


@dataclass(frozen=True, slots=True)
class EntityPage:
    """A page as it is now. `body` is the name of the file with its HTML, empty where it has none."""

    id: str
    title: str
    body: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file beside a page: `name` is its place in the export, `title` its own name, `file_name` the one whose ending
    tells what it is."""

    name: str
    title: str
    file_name: str
    labels: Mapping[str, str]


@dataclass
class Export:
    """What an export has; `left_out` counts old versions, drafts and the like."""

    pages: list[EntityPage] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass
class _Objects:
    """The objects of an export by class and number, each with its properties as texts."""

    spaces: dict[str, dict[str, str]] = field(default_factory=dict)
    users: dict[str, dict[str, str]] = field(default_factory=dict)
    pages: dict[str, dict[str, str]] = field(default_factory=dict)
    attachments: dict[str, dict[str, str]] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)


def read_entities(source: BinaryIO, workspace: Path) -> Export:
    """Raises BadSource for what is no such file."""
    objects = _Objects()
    try:
        for element in _elements(source):
            _note(element, objects, workspace)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BadSource(f"entities.xml cannot be read: {str(error)[:200]}") from error
    export = Export()
    for number, page in objects.pages.items():
        if why := _not_current(page):
            export.left_out[why] += 1
        else:
            labels = _labels(page, objects)
            export.pages.append(EntityPage(number, page.get("title", ""), objects.bodies.get(number, ""), labels))
    for number, attachment in objects.attachments.items():
        owner = objects.pages.get(attachment.get("containerContent", attachment.get("content", "")))
        if owner is not None and not _not_current(attachment) and not _not_current(owner):
            export.attachments.append(_attachment(number, attachment, owner, objects))
    return export


def _elements(source: BinaryIO) -> Iterator[Element]:
    """Each object, whole; what was read before is let go."""
    depth, root = 0, None
    for event, element in iterparse(source, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            root = element if root is None else root
            depth += 1
            if depth > DEEPEST:
                raise ValueError("its elements are nested too deeply")
            continue
        depth -= 1
        if depth == 1:
            if element.tag == "object":
                yield element
            if root is not None:
                root.clear()


def _note(element: Element, objects: _Objects, workspace: Path) -> None:
    kind = element.get("class", "")
    number = (element.findtext("id") or "").strip()
    if kind in PAGES:
        objects.pages[number] = _properties(element)
    elif kind == "BodyContent":
        _body(element, objects, workspace)
    elif kind == "Attachment":
        objects.attachments[number] = _properties(element)
    elif kind == "Space":
        objects.spaces[number] = _properties(element)
    elif kind == "ConfluenceUserImpl":
        objects.users[number] = _properties(element)


def _properties(element: Element) -> dict[str, str]:
    """By name; of one that is another object its number."""
    found: dict[str, str] = {}
    for each in element.findall("property"):
        number = each.find("id")
        value = (number.text if number is not None else each.text) or ""
        if value.strip():
            found[each.get("name", "")] = value.strip()
    return found


def _body(element: Element, objects: _Objects, workspace: Path) -> None:
    content = element.find("property[@name='content']")
    body = element.findtext("property[@name='body']") or ""
    if content is None or content.get("class") not in PAGES or not body.strip():
        return
    name = f"body-{len(objects.bodies)}"
    (workspace / name).write_text(storage_to_html(body), "utf-8", errors="replace")
    objects.bodies[(content.findtext("id") or "").strip()] = name


def _not_current(properties: Mapping[str, str]) -> str:
    """Why it is left out; empty for what is as it is now."""
    if "originalVersion" in properties or "originalVersionId" in properties:
        return "old versions"
    status = properties.get("contentStatus", CURRENT)
    return "" if status == CURRENT else f"{status} pages"


def _labels(page: Mapping[str, str], objects: _Objects) -> dict[str, str]:
    space = objects.spaces.get(page.get("space", ""), {})
    labels = {
        "space": space.get("key", ""),
        "parents": " / ".join(_parents(page, objects)),
        "author": objects.users.get(page.get("creator", ""), {}).get("name", page.get("creatorName", "")),
        "updated": page.get("lastModificationDate", ""),
    }
    return {key: value for key, value in labels.items() if value}


def _parents(page: Mapping[str, str], objects: _Objects) -> list[str]:
    """The titles of those above, the outermost first."""
    titles: list[str] = []
    met: set[str] = set()
    at = page.get("parent", "")
    while at in objects.pages and at not in met:
        met.add(at)
        titles.append(objects.pages[at].get("title", ""))
        at = objects.pages[at].get("parent", "")
    return titles[::-1]


def _attachment(number: str, attachment: Mapping[str, str], owner: Mapping[str, str], objects: _Objects) -> Attachment:
    container = attachment.get("containerContent", attachment.get("content", ""))
    version = attachment.get("version", attachment.get("attachmentVersion", "1"))
    labels = {**_labels(owner, objects), "page": owner.get("title", "")}
    title = attachment.get("title", attachment.get("fileName", number))
    return Attachment(f"attachments/{container}/{number}/{version}", title, title, labels)
