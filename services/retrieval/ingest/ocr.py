"""OCR of pages without text: poppler's pdftoppm renders a page, tesseract reads it. Both are programs of Debian, run
without a shell, with a deadline, no more memory than this process may have, and no more pixels than are asked for."""

import ctypes
import logging
import os
import re
import resource
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

MOST_PAGES = 200
"""Of one document."""
PAGE_SECONDS = 60
"""Longest time that each of the two programs may take for a page."""
DPI = 300
MOST_PIXELS = 5000
"""Of the longer side of a page; a page that has more is rendered smaller."""
LANGUAGES = r"[A-Za-z][A-Za-z_]{1,30}(?:\+[A-Za-z][A-Za-z_]{1,30}){0,9}"
# Words of which tesseract is less sure, in percent, are noise.
_SURE = 40
_PROGRAMS = {"pdftoppm": "poppler-utils", "tesseract": "tesseract-ocr"}
_POINTS = 72
# Columns of tesseract's table: block and paragraph, line, how sure the word is, the word.
_FIELDS, _PARAGRAPH, _LINE, _SURENESS, _WORD = 12, slice(2, 4), 4, 10, 11
_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,20})?")
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9
_libc = ctypes.CDLL(None)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ocr:
    """The languages to read, as tesseract names them, with "+" between, and how long one document may take."""

    languages: str
    seconds: float


def installed(languages: str, seconds: float) -> Ocr | None:
    """OCR in these languages ("" for none). None, and a warning for people, where something is missing for it."""
    lacking = missing(languages) if languages else ""
    if lacking:
        log.warning("HEADWORKS_RETRIEVAL_OCR=%s: %s; pages without text are not read until then", languages, lacking)
    return None if lacking or not languages else Ocr(languages, seconds)


def missing(languages: str) -> str:
    """What has to be installed before these languages can be read; "" for nothing."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            return f"the program {program} is missing: apt-get install {package}"
    try:
        listed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, check=True, timeout=PAGE_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        return f"tesseract does not run ({type(error).__name__})"
    known = set((listed.stdout + listed.stderr).decode("utf-8", "replace").split())
    unknown = [each for each in languages.split("+") if each not in known]
    packages = " ".join(f"tesseract-ocr-{each.lower().replace('_', '-')}" for each in unknown)
    return f"tesseract cannot read {', '.join(unknown)}: apt-get install {packages}" if unknown else ""


def read_scans(pdf: bytes, sides: Mapping[int, float], ocr: Ocr) -> dict[int, str]:
    """The text of those pages, by their number, that have any; `sides`: the pages with their longer side, in points.
    What does not come in time is left out."""
    end = time.monotonic() + ocr.seconds
    texts: dict[int, str] = {}
    file = os.memfd_create("pdf")
    try:
        with os.fdopen(os.dup(file), "wb") as writing:
            writing.write(pdf)
        for number, side in list(sides.items())[:MOST_PAGES]:
            with suppress(OSError, subprocess.SubprocessError, MemoryError):
                texts[number] = _lines(_table(_picture(file, number, side, end), ocr.languages, end))
    finally:
        os.close(file)
    return {number: text for number, text in texts.items() if text}


def _picture(file: int, number: int, side: float, end: float) -> bytes:
    """A page as a picture in shades of grey."""
    pixels = max(1, min(MOST_PIXELS, round(side / _POINTS * DPI)))
    page = str(number)
    command = ["pdftoppm", "-gray", "-scale-to", str(pixels), "-f", page, "-l", page, f"/dev/fd/{file}"]
    return _run(command, b"", end, file)


def _table(picture: bytes, languages: str, end: float) -> str:
    """tesseract's table of words; pages that lie on their side are turned."""
    command = ["env", "OMP_THREAD_LIMIT=1", "tesseract", "stdin", "stdout", "-l", languages, "--dpi", str(DPI)]
    return _run([*command, "--psm", "1", "tsv"], picture, end).decode("utf-8", "replace")


def _run(command: Sequence[str], data: bytes, end: float, *files: int) -> bytes:
    seconds = min(PAGE_SECONDS, end - time.monotonic())
    if seconds <= 0:
        raise subprocess.TimeoutExpired(command, 0)
    done = subprocess.run(
        command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, check=True,
        pass_fds=files, preexec_fn=_bound,
    )  # fmt: skip
    return done.stdout


def _bound() -> None:
    """In the program's process: it ends with this one, and takes no more time of the processor than it has."""
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (PAGE_SECONDS, PAGE_SECONDS))


def _lines(table: str) -> str:
    """The lines that the words make, with an empty one between paragraphs."""
    paragraphs = defaultdict[tuple[str, ...], dict[str, list[str]]](dict)
    for row in table.splitlines()[1:]:
        fields = row.split("\t")
        if len(fields) == _FIELDS and fields[_WORD].strip() and _sureness(fields[_SURENESS]) >= _SURE:
            paragraphs[tuple(fields[_PARAGRAPH])].setdefault(fields[_LINE], []).append(fields[_WORD].strip())
    return "\n\n".join("\n".join(map(" ".join, lines.values())) for lines in paragraphs.values())


def _sureness(value: str) -> float:
    return float(value) if _NUMBER.fullmatch(value) else 0.0
