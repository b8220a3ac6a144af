"""What an export of Jira says of itself: which of the issues that a search found are in it, and whether more are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_MORE = "export all at once, or save the other pages too, in one folder or zip file with this one"
_NEXT = (
    "it says that a next page follows, and pages by token do not say how many there are: fetch all, and make them one "
    "by `jq -s '{issues: map(.issues) | add}' PAGE…`"
)


@dataclass(frozen=True, slots=True)
class SearchPage:
    """`count` issues from number `start` on, from 0, of the `total` that a search found. `total` is None where only
    this much is said: that another page follows."""

    start: int
    count: int
    total: int | None


def page_of_json(answer: Mapping[str, Any], count: int) -> SearchPage | None:
    """What an answer with `count` issues says: one with `total`, or of Jira Cloud's, which names the next page. None
    where that is all, or nothing is said."""
    start, total, last = answer.get("startAt", 0), answer.get("total"), answer.get("isLast")
    start = max(0, start) if type(start) is int else 0
    if type(total) is int:
        return SearchPage(start, count, total)
    if last is False or (answer.get("nextPageToken") and last is not True):
        return SearchPage(start, count, None)
    return SearchPage(start, count, start + count) if start else None


def page_of_rss(attributes: Mapping[str, str], count: int) -> SearchPage | None:
    """What `<issue start= end= total=>` of a channel with `count` items says."""
    start, total = attributes.get("start", "0"), attributes.get("total", "")
    if not (start.isdecimal() and total.isdecimal()):
        return None
    return SearchPage(int(start), count, int(total))


def faults(pages: Iterable[tuple[str, SearchPage]]) -> list[tuple[str, str]]:
    """The files of an export by which it is not whole, each with why. Pages of one total are of one search."""
    found: list[tuple[str, str]] = []
    searches: dict[int, list[tuple[str, SearchPage]]] = {}
    for name, page in pages:
        if page.total is None:
            found.append((name, _NEXT))
        else:
            searches.setdefault(page.total, []).append((name, page))
    for total, parts in searches.items():
        if absent := _absent([page for _, page in parts], total):
            found.append((parts[0][0], f"{absent:,} of the {total:,} issues that its search found are absent: {_MORE}"))
    return found


def _absent(pages: Iterable[SearchPage], total: int) -> int:
    """How many of a search's issues are on none of its pages."""
    absent = end = 0
    for page in sorted(pages, key=lambda page: page.start):
        absent += max(0, min(page.start, total) - end)
        end = max(end, page.start + page.count)
    return absent + max(0, total - end)
