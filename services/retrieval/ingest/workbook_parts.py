"""What of XLSX is not read as a value, counted: formulas that were never computed, errors, comments."""

import re
from collections.abc import Iterator

from services.retrieval.ingest.office import local, relation, relations
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.package import Package

_BOOK = "xl/workbook.xml"
_PREFIX = rb"(?:\w{1,20}:)?"
# Not those whose value is an empty text.
_UNCOMPUTED = re.compile(
    rb"<%(p)sc\s(?![^<>]*\bt=\"str\")[^<>]*>\s*<%(p)sf\b[^<>]*(?:/>|>[^<]*</%(p)sf>)"
    rb"\s*(?:<%(p)sv\s*/>|<%(p)sv[^<>]*>\s*</%(p)sv>\s*)?</%(p)sc>" % {b"p": _PREFIX}
)
_ERROR = re.compile(rb"<%sc\s[^<>]*\bt=\"e\"" % _PREFIX)
_COMMENT = re.compile(rb"<%scomment\s" % _PREFIX)


def unread(package: Package) -> list[str]:
    """Of the visible sheets, in words for people. Raises DocumentUnreadable, ContentTooLarge."""
    formulas = errors = comments = 0
    for part in _visible(package):
        sheet = package.read(part)
        formulas += len(_UNCOMPUTED.findall(sheet))
        errors += len(_ERROR.findall(sheet))
        for kind, name in relations(package, part).values():
            if kind == "comments" and name in package:
                comments += len(_COMMENT.findall(package.read(name)))
    return omissions(
        (formulas, "without a value, as they were never computed: {} formula(s)"),
        (errors, "not read: {} cell(s) with an error such as #DIV/0!"),
        (comments, "not read: {} comment(s)"),
    )


def _visible(package: Package) -> Iterator[str]:
    """The parts of the sheets that are not hidden."""
    parts = relations(package, _BOOK)
    for each in package.xml(_BOOK).iter() if _BOOK in package else ():
        if local(each) == "sheet" and each.get("state", "visible") == "visible":
            _, name = parts.get(relation(each), ("", ""))
            if name in package:
                yield name
