"""Triton's log as JSON lines: what it, its models and their libraries print, each line with a level and the service."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO

from services.runtime.redaction import redact

SERVICE = "triton"
LONGEST = 16_384
"""Characters of a line; what is longer is cut."""
_GLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([^ \]]+)\] ?(.*)", re.DOTALL)
_GLOG_LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}
_WORD = re.compile(r"\b(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b")
_WORD_LEVELS = {"WARN": "warning", "FATAL": "critical"}
_WORD_WITHIN = 48
"""Where a library's own level is, if its line has one."""
_FAULT = re.compile(r"Traceback \(most recent call last\)|[\w.]*(Error|Exception)\b|terminate called|Signal \(")


class Shaper:
    """Gives each line a form. A line that is indented has the level of the one before it, as in a traceback."""

    def __init__(self) -> None:
        self._level = "info"

    def line(self, text: str) -> str:
        """One JSON object. What is one already is left as it is."""
        text = text.rstrip("\r\n")[:LONGEST]
        if text.startswith("{") and _is_record(text):
            return text
        logger, message = "stderr", text
        if found := _GLOG.match(text):
            self._level, logger, message = _GLOG_LEVELS[found[1]], found[2], found[3]
        elif word := _WORD.search(text, 0, _WORD_WITHIN):
            self._level = _WORD_LEVELS.get(word[1], word[1].lower())
        elif _FAULT.match(text):
            self._level = "error"
        elif not text.startswith((" ", "\t")):
            self._level = "info"
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        fields = {"time": now, "level": self._level, "service": SERVICE, "logger": logger, "message": redact(message)}
        return json.dumps(fields)


def shaped(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in their form; blank ones are left out."""
    shaper = Shaper()
    for line in lines:
        if line.strip():
            yield shaper.line(line.decode("utf-8", "replace")).encode("utf-8", "replace") + b"\n"


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Until the source ends, which is when nobody can print any more. A full disk loses lines and ends nothing."""
    for line in shaped(source):
        try:
            target.write(line)
            target.flush()
        except OSError:
            continue


def _is_record(text: str) -> bool:
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and {"level", "service", "message"} <= found.keys()
