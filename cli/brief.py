"""What tables say in few characters: a run's id by its beginning, times by how long ago they were."""

import re
from datetime import UTC, datetime

# Of the replica that began it, and a random number in hexadecimal.
RUN_ID = re.compile(r"run_.+_(?P<number>[0-9a-f]{32})")
DIGITS = 8
# Of a gRPC service, whose name says it all.
METHOD = re.compile(r"/?(?:[a-z]\w*\.)+(?P<noun>[A-Z]\w*?)(?:Service)?/(?P<verb>[A-Z]\w*)")
_UNITS = ((86_400 * 365, "y"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number with what is counted: "1 record", "2,000 records". `nouns`: the plural, where it is not made by an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def short(text: str) -> str:
    """The beginning of a run's id, which every verb that takes one accepts, and a method by its noun and verb; anything
    else as it is."""
    run = RUN_ID.fullmatch(text)
    if method := METHOD.fullmatch(text):
        return f"{method['noun']}/{method['verb']}"
    return f"run_{run['number'][:DIGITS]}" if run else text


def ago(time: str, now: datetime | None = None) -> str:
    """A time in RFC 3339 as people say it: "3 min ago", "in 89 d"; anything else as it is."""
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return time
    seconds = ((now or datetime.now(UTC)) - then.replace(tzinfo=then.tzinfo or UTC)).total_seconds()
    for length, unit in _UNITS:
        if abs(seconds) >= length:
            count = f"{int(abs(seconds) / length)} {unit}"
            return f"{count} ago" if seconds > 0 else f"in {count}"
    return "just now"
