"""What documents of Office say of themselves: their title, author and dates."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.package import Package

CORE, META = "docProps/core.xml", "meta.xml"
"""Where they say it: Microsoft's formats, and OpenDocument."""
_LABELS = {
    "creator": "author",
    "created": "created",
    "creation-date": "created",
    "modified": "modified",
    "date": "modified",
}


def said_in(package: Package, part: str = CORE) -> tuple[str, Mapping[str, str]]:
    """The title ("" for none) and the labels. A part that is broken says nothing."""
    try:
        root = package.xml(part) if part in package else Element("none")
    except DocumentUnreadable:
        return "", {}
    said = {local(each): text for each in root.iter() if (text := " ".join((each.text or "").split()))}
    labels = {label: said[name] for name, label in _LABELS.items() if name in said}
    return said.get("title", ""), labels


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def attribute(element: Element, name: str) -> str:
    """An attribute by its name without a namespace; "" where it is not there."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")


def count(value: str) -> int:
    """A number of cells as an attribute has it, from 1 to 1000; 1 for what is no number."""
    return min(max(int(value), 1), 1000) if value.isascii() and value.isdigit() else 1
