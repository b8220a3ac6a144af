"""What documents of Office have in common: their title, author and dates, how their parts refer to one another."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.package import Package, beside

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


def relations(package: Package, part: str) -> Mapping[str, tuple[str, str]]:
    """What a part refers to: the kind of each and the entry's name, by id."""
    folder, _, name = part.rpartition("/")
    listing = f"{folder}/_rels/{name}.rels"
    if listing not in package:
        return {}
    return {
        each.get("Id", ""): (each.get("Type", "").rpartition("/")[2], beside(part, each.get("Target", "")))
        for each in package.xml(listing)
        if each.get("TargetMode") != "External"
    }


def relation(element: Element) -> str:
    """The id of a relation: it has the name of another attribute, in another namespace."""
    return next((value for key, value in element.attrib.items() if key.endswith("}id")), "")
