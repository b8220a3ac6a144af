"""Reads Jupyter notebooks: Markdown as it is, code as code, of its outputs the text."""

from collections.abc import Iterator
from typing import Any

import orjson

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.blocks import Extract, first_heading
from services.retrieval.ingest.markdown import write_markdown
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.plain import write_plain
from services.retrieval.ingest.text import decode

MOST_CELLS = 10_000
LONGEST_OUTPUT = 2000
"""Characters of a cell's outputs."""


def read_ipynb(data: bytes) -> Extract:
    """Raises DocumentUnreadable."""
    try:
        notebook = orjson.loads(decode(data).text)
    except orjson.JSONDecodeError as error:
        raise DocumentUnreadable(f"it is no valid JSON: {str(error)[:200]}") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise DocumentUnreadable("it has no cells, as notebooks since version 4 of their format have")
    outline = Outline()
    language = _language(notebook)
    shortened = sum(_write(cell, language, outline) for cell in cells[:MOST_CELLS])
    warnings = omissions(
        (max(0, len(cells) - MOST_CELLS), f"not read: {{}} cell(s) behind the first {MOST_CELLS:,}"),
        (shortened, f"cut to {LONGEST_OUTPUT:,} characters: the outputs of {{}} cell(s)"),
    )
    return Extract(first_heading(outline.blocks), outline.blocks, warnings=warnings)


def _write(cell: dict[str, Any], language: str, outline: Outline) -> bool:
    """Write a cell; whether its outputs were cut."""
    source = _joined(cell.get("source"))
    match cell.get("cell_type"):
        case "markdown":
            write_markdown(source, outline)
        case "code":
            outline.code(source, language)
            output = "\n".join(_outputs(cell.get("outputs")))
            outline.code(output[:LONGEST_OUTPUT])
            return len(output) > LONGEST_OUTPUT
        case _:
            write_plain(source, outline)
    return False


def _outputs(outputs: Any) -> Iterator[str]:
    """What was printed and what came out, as text."""
    for output in outputs if isinstance(outputs, list) else ():
        if isinstance(output, dict):
            data = output.get("data")
            text = output.get("text") or (data.get("text/plain") if isinstance(data, dict) else None)
            if joined := _joined(text).rstrip():
                yield joined


def _joined(source: Any) -> str:
    """A text, or the list of its lines."""
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _language(notebook: dict[str, Any]) -> str:
    metadata = notebook.get("metadata")
    kernel = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    language = kernel.get("language") if isinstance(kernel, dict) else None
    return language[:30] if isinstance(language, str) and language.isalnum() else ""
