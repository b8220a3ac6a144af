"""Lists in OpenAI's form, and which part of one is wanted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from gateway.faces.http.message import Body, Request, as_json
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json
from services.runtime.numerals import numeral

ORDERS = {"asc": True, "desc": False}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The page that is wanted, and the list's other parameters."""

    limit: int
    after: str
    ascending: bool
    others: dict[str, str]


def wanted(request: Request, default: int, most: int, others: Collection[str] = ()) -> Wanted:
    """Raises BadRequest, also for a parameter that nobody knows."""
    given = {name: values[-1] for name, values in parse_qs(request.query).items()}
    for name in given:
        if name not in ("limit", "after", "order", *others):
            raise BadRequest(f"{name} is not supported here", name)
    limit = numeral(given.get("limit", str(default)), 6)
    if limit is None or not 1 <= limit <= most:
        raise BadRequest(f"limit must be a whole number from 1 to {most}", "limit")
    order = given.get("order", "desc")
    if order not in ORDERS:
        raise BadRequest("order must be asc or desc", "order")
    return Wanted(limit, given.get("after", ""), ORDERS[order], {name: given[name] for name in others if name in given})


def listed(items: Sequence[Json], more: bool) -> Body:
    """The list as an answer."""
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return as_json({"object": "list", "data": items, **ends, "has_more": more})
