"""Reads DOCX, as the page that mammoth makes of it. Styles say what is a heading; pictures, comments are left out."""

import io
import re

import mammoth

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.html import read_page
from services.retrieval.ingest.office import said_in
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
# Items between those of a numbered list, which mammoth ends there: they belong to the one above them.
_INTERRUPTED = re.compile(r"</li></ol>(<ul>(?:(?!</?[uo]l>).){0,20000}</ul>)<ol>", re.DOTALL)


def read_docx(data: bytes) -> Extract:
    """Raises DocumentUnreadable, ContentTooLarge."""
    package = Package(data)
    if package.has_entities():
        raise DocumentUnreadable("it declares XML entities, which can unpack without end")
    with reading("the Word document"):
        made = mammoth.convert_to_html(
            io.BytesIO(data), style_map=_STYLES, convert_image=mammoth.images.img_element(lambda _: {}),
            external_file_access=False,
        )  # fmt: skip
    page = read_page(_INTERRUPTED.sub(r"\1</li>", _CONTENTS.sub("", made.value)))
    title, labels = said_in(package)
    return Extract(title or page.title, page.blocks, labels)
