"""Reads DOCX, as the page that mammoth makes of it. Styles say what is a heading.

Pictures, comments, hidden text, and headers and footers of pages are left out.
"""

import io
import re
import zipfile
from xml.etree.ElementTree import Element, tostring

import mammoth

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.html import read_page
from services.retrieval.ingest.office import attribute, local, said_in
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.package import Package

# Beside mammoth's own.
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='Heading 7'] => h6:fresh
p[style-name='Heading 8'] => h6:fresh
p[style-name='Heading 9'] => h6:fresh
comment-reference =>
"""
# An entry of the table of contents.
_CONTENTS = re.compile(r'<p>(?:(?!</p>).){0,2000}?<a href="#_Toc(?:(?!</p>).){0,4000}?</p>', re.DOTALL)
_TEXTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_VANISH = b"vanish"
_OFF = ("0", "false", "off")
_RUNNING = re.compile(r"word/(?:header|footer)\d*\.xml")
_RUN_TEXT = re.compile(rb"<w:t(?:\s[^<>]*)?>([^<]*)")
# Items between those of a numbered list, which mammoth ends there: they belong to the one above them.
_INTERRUPTED = re.compile(r"</li></ol>(<ul>(?:(?!</?[uo]l>).){0,20000}</ul>)<ol>", re.DOTALL)


def read_docx(data: bytes) -> Extract:
    """Raises DocumentUnreadable, ContentTooLarge."""
    package = Package(data)
    if package.has_entities():
        raise DocumentUnreadable("it declares XML entities, which can unpack without end")
    with reading("the Word document"):
        made = mammoth.convert_to_html(
            io.BytesIO(_without_hidden(data, package)), style_map=_STYLES,
            convert_image=mammoth.images.img_element(lambda _: {}), external_file_access=False,
        )  # fmt: skip
    page = read_page(_INTERRUPTED.sub(r"\1</li>", _CONTENTS.sub("", made.value)))
    title, labels = said_in(package)
    running = sum(_has_words(package.read(name)) for name in package.names() if _RUNNING.fullmatch(name))
    warnings = omissions((running, "not read: {} header(s) or footer(s) of pages"))
    return Extract(title or page.title, page.blocks, labels, warnings=warnings)


def _without_hidden(data: bytes, package: Package) -> bytes:
    """The document without text that is hidden, which mammoth reads. Raises DocumentUnreadable, ContentTooLarge."""
    parts = (name for name in _TEXTS if name in package and _VANISH in package.read(name))
    changed = {name: _shown(package.xml(name)) for name in parts}
    if not changed:
        return data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in package.names():
            if name.endswith((".xml", ".rels")):  # pictures are not read
                file.writestr(name, changed.get(name) or package.read(name))
    return out.getvalue()


def _shown(root: Element) -> bytes:
    for parent in list(root.iter()):
        for run in [each for each in parent if local(each) == "r" and _is_hidden(each)]:
            parent.remove(run)
    shown: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return shown


def _is_hidden(run: Element) -> bool:
    return any(
        local(each) == "vanish" and attribute(each, "val") not in _OFF
        for properties in run
        if local(properties) == "rPr"
        for each in properties
    )


def _has_words(part: bytes) -> bool:
    return any(any(map(str.isalpha, text.decode("utf-8", "replace"))) for text in _RUN_TEXT.findall(part))
