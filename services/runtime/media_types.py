"""Media types of documents that can be read, and how a file's ending says which: one answer for who sends a file and
who reads it."""

from pathlib import PurePosixPath

PLAIN = "text/plain"
MARKDOWN = "text/markdown"
HTML = "text/html"
PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODT = "application/vnd.oasis.opendocument.text"
EPUB = "application/epub+zip"
RST = "text/x-rst"
NOTEBOOK = "application/x-ipynb+json"
EML = "message/rfc822"
MBOX = "application/mbox"
JSON = "application/json"
JSON_LINES = "application/jsonl"
CSV = "text/csv"
TSV = "text/tab-separated-values"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLS = "application/vnd.ms-excel"
ODS = "application/vnd.oasis.opendocument.spreadsheet"

MEDIA_TYPES = {
    ".txt": PLAIN,
    ".text": PLAIN,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".htm": HTML,
    ".html": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
    ".docx": DOCX,
    ".docm": DOCX,
    ".pptx": PPTX,
    ".pptm": PPTX,
    ".odt": ODT,
    ".epub": EPUB,
    ".rst": RST,
    ".ipynb": NOTEBOOK,
    ".eml": EML,
    ".mbox": MBOX,
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".csv": CSV,
    ".tsv": TSV,
    ".tab": TSV,
    ".xlsx": XLSX,
    ".xlsm": XLSX,
    ".xls": XLS,
    ".ods": ODS,
}
"""By the ending, in lower case."""
ALIASES = {
    "text/x-markdown": MARKDOWN,
    "application/xhtml+xml": HTML,
    "application/x-pdf": PDF,
    "application/vnd.ms-word.document.macroenabled.12": DOCX,
    "application/vnd.ms-powerpoint.presentation.macroenabled.12": PPTX,
    "text/prs.fallenstein.rst": RST,
    "text/x-restructuredtext": RST,
    "text/json": JSON,
    "application/x-ndjson": JSON_LINES,
    "application/jsonlines": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/csv": CSV,
    "text/tsv": TSV,
    "application/vnd.ms-excel.sheet.macroenabled.12": XLSX,
}
BINARY = frozenset((PDF, DOCX, PPTX, ODT, EPUB, EML, MBOX, XLSX, XLS, ODS))
"""What is no text, and may hold any byte."""
SELF_LABELLED = frozenset((MARKDOWN, DOCX, PPTX, ODT, EPUB, EML))
"""What may give itself labels: its author, its dates, the front matter of Markdown."""


def by_ending(name: str) -> str | None:
    """The media type that a file's name tells; None for what cannot be read, or has no ending."""
    return MEDIA_TYPES.get(PurePosixPath(name).suffix.lower())


def by_name(content_type: str) -> str:
    """The media type that a Content-Type names, by its usual name, in lower case."""
    named = content_type.partition(";")[0].strip().lower()
    return ALIASES.get(named, named)
