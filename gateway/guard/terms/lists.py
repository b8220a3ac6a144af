"""Lists of terms in files: DIRECTORY/<name>.txt, one term a line."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TOPIC = re.compile(r"\[(?P<topic>[A-Za-z0-9_-]{1,64})\]")


class BadTerms(ValueError):
    """A list of terms that is not there, or cannot be read."""


def read_list(directory: Path | None, name: str) -> list[tuple[str, str]]:
    """The terms of a list, each with its topic. A line `[topic]` begins a topic; before the first, the topic is the
    list's name. What follows # at the start of a line is a comment. Raises BadTerms. Reads a file: not for the loop."""
    if directory is None:
        raise BadTerms(f"there is no list of terms {name!r}: no folder of lists is set")
    if not NAME.fullmatch(name):
        raise BadTerms(f"{name!r} is not a list's name")
    try:
        lines = (directory / f"{name}.txt").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadTerms(f"the list of terms {name!r} cannot be read: {error}") from error
    return list(_with_topics(name, lines))


def _with_topics(name: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    topic = name
    for line in map(str.strip, lines):
        if heading := _TOPIC.fullmatch(line):
            topic = heading["topic"]
        elif line and not line.startswith("#"):
            yield line, topic
