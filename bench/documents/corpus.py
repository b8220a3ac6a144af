"""The corpus: files of packages as documents, and their text as a plain reader sees it."""

import gzip
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from pypdf import PdfReader
from selectolax.lexbor import LexborHTMLParser

from bench.documents.packages import Packages
from bench.kit import BenchError

SELECTION = Path(__file__).with_name("packages.yaml")
MEDIA_TYPES = {"html": "text/html", "man": "text/plain", "pdf": "application/pdf", "text": "text/plain"}
BLOCKS = "br, dd, div, dt, h1, h2, h3, h4, h5, h6, li, p, pre, table, td, th, tr"
MAN_COLUMNS, MAN_SECONDS = "100", 60.0


@dataclass(frozen=True, slots=True)
class Selected:
    """Files of one package: `files` are patterns below `folder`, without the .gz of a compressed file."""

    package: str
    kind: str
    language: str
    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the corpus. `id` is the package's name and the file's; a man page is rendered."""

    id: str
    kind: str
    language: str
    content: bytes

    @property
    def media_type(self) -> str:
        return "text/markdown" if self.id.endswith(".md") else MEDIA_TYPES[self.kind]


def selection(file: Path = SELECTION) -> list[Selected]:
    """What packages.yaml selects. Raises BenchError where it is malformed."""
    try:
        entries: list[dict[str, Any]] = yaml.safe_load(file.read_text("utf-8"))
        return [Selected(**{**entry, "files": tuple(entry["files"])}) for entry in entries]
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise BenchError(f"{file} is no list of packages: {error!r}") from error


def load(selected: Sequence[Selected], packages: Packages, say: Callable[[str], None]) -> list[Document]:
    """All documents, in order of their ids; what a pattern selects no longer is reported. Raises BenchError."""
    packages.fetch((one.package for one in selected), say)
    documents: dict[str, Document] = {}
    for one in selected:
        if not packages.folder(one.package).is_dir():
            continue
        for pattern in one.files:
            found = list(_documents(one, pattern, packages))
            if not found:
                say(f"no longer in {one.package}: {one.folder}/{pattern}")
            documents.update((document.id, document) for document in found)
    return [documents[name] for name in sorted(documents)]


def _documents(one: Selected, pattern: str, packages: Packages) -> Iterator[Document]:
    folder = packages.folder(one.package) / one.folder
    for file in sorted({*folder.glob(pattern), *folder.glob(f"{pattern}.gz")}):
        if not file.is_file():
            continue
        name = str(file.relative_to(folder)).removesuffix(".gz")
        content = _man(file, packages.texts(one.package)) if one.kind == "man" else _content(file)
        yield Document(f"{one.package}/{name}", one.kind, one.language, content)


def _content(file: Path) -> bytes:
    return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()


def _man(file: Path, texts: Path) -> bytes:
    """A man page as `man` renders it, kept for the next time. Raises BenchError."""
    kept = texts / f"{file.name}.txt"
    if kept.is_file():
        return kept.read_bytes()
    command = ["man", "--no-hyphenation", "--no-justification", "--encoding=UTF-8", "-l", str(file)]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": MAN_COLUMNS, "MANPAGER": "cat", "MANROFFOPT": "-c"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=MAN_SECONDS)
    except FileNotFoundError as error:
        raise BenchError("man is missing; on Debian: apt-get install man-db") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"man could not render {file}: {error}") from error
    texts.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".part")
    partial.write_bytes(done.stdout)
    partial.rename(kept)
    return done.stdout


def plain_text(document: Document) -> str:
    """Its text, whatever its structure, to see what stands in it: blocks and pages follow one another."""
    if document.kind == "pdf":
        return _pdf_text(document.content)
    text = document.content.decode("utf-8", "replace")
    return _html_text(text) if document.kind == "html" else text


def _html_text(text: str) -> str:
    tree = LexborHTMLParser(text)
    for node in tree.css("script, style"):
        node.decompose()
    for node in tree.css(BLOCKS):
        node.insert_before(" ")
        node.insert_after(" ")
    return tree.body.text(separator="", strip=False) if tree.body else ""


def _pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages)
