"""Reads reStructuredText, as the page that docutils makes of it. No file is included, nothing raw is passed on.

Directives and roles of Sphinx are read as what they say: a note by its text, a function by its signature.
"""

import re

from docutils import nodes
from docutils.core import publish_parts
from docutils.parsers.rst import Directive, directives
from docutils.parsers.rst.languages import en

from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.html import read_page
from services.retrieval.ingest.text import decode

_SETTINGS = {
    "_disable_config": True,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "report_level": 5,
    "halt_level": 5,
    "warning_stream": False,
    "syntax_highlight": "none",
    "stylesheet_path": "",
    "embed_stylesheet": False,
    "doctitle_xform": False,
    "initial_header_level": 1,
    "smart_quotes": False,
    "line_length_limit": 1_000_000,
}
# Directives that say nothing to people by themselves.
_UNSAID_NAMES = """
    toctree index currentmodule module default-domain tabularcolumns highlight autoclass autofunction automodule
    automethod literalinclude contents sectnum meta
"""
_UNSAID = frozenset(_UNSAID_NAMES.split())
# Those of Sphinx that docutils has in another sense.
_OTHERWISE = ("class",)
_DIRECTIVE = re.compile(r"^[ \t]*\.\.[ \t]+(?:\|[^|\n]{1,100}\|[ \t]+)?([a-zA-Z][\w.:+-]{0,40}?)[ \t]?::", re.MULTILINE)
_OPTION = re.compile(r":[\w-]{1,40}:(?:\s.*)?")
# :ref:`text <target>`, :func:`name`
_ROLE = re.compile(r"(?<![\w`:]):[a-zA-Z][\w.+-]{0,30}(?::[\w.+-]{1,30})?:`([^`\n]{1,500}?)(?:\s*<[^<>`\n]{1,300}>)?`")


def read_rst(data: bytes) -> Extract:
    """Raises DocumentUnreadable, EncodingUnknown."""
    text = decode(data)
    _register(text.text)
    with reading("the text"):
        page = publish_parts(_ROLE.sub(r"``\1``", text.text), writer="html5", settings_overrides=_SETTINGS)
    extract = read_page(f"<body>{page['html_body']}</body>")
    return Extract(extract.title, extract.blocks, encoding=text.encoding)


class _Said(Directive):  # type: ignore[misc]  # docutils has no types
    """A directive that docutils does not know: its first line as a term, and what follows below that."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """See Directive."""
        lines = self.content
        term = self.block_text.partition("\n")[0].partition("::")[2].strip()
        first = 1 if term else 0
        while first < len(lines) and _OPTION.fullmatch(lines[first].strip()):
            first += 1
        body = nodes.definition()
        self.state.nested_parse(lines[first:], self.content_offset + first, body)
        if not term:
            return list(body.children)
        if not body.children:
            return [] if self.name in _OTHERWISE else [nodes.paragraph("", term)]
        return [nodes.definition_list("", nodes.definition_list_item("", nodes.term("", term), body))]


class _Unsaid(Directive):  # type: ignore[misc]  # likewise
    """A directive that is left out."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """See Directive."""
        return []


def _register(text: str) -> None:
    """Have docutils know the directives of a text. It keeps them for the process; all that are unknown are alike."""
    for name in _UNSAID:
        directives.register_directive(name, _Unsaid)
    for name in {name.lower() for name in _DIRECTIVE.findall(text)} - _UNSAID:
        if name in _OTHERWISE or name not in en.directives:
            directives.register_directive(name, _Said)
