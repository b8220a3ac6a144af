"""What a caller says of the cache, in `cache-control`: it can only be kept from more. Pure."""

from dataclasses import dataclass

from services.runtime.numerals import numeral

CACHE_CONTROL = "cache-control"
LONGEST = 1000
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Directives:
    """`reads`: an answer of before will do; `stores`: this one may be kept; `max_age`: seconds that one may be old;
    `alike`: one to a like question will do."""

    reads: bool = True
    stores: bool = True
    max_age: float = float("inf")
    alike: bool = True


EVERYTHING = Directives()


def read(header: str) -> Directives:
    """The directives of a header: `no-cache`, `no-store`, `max-age=N`, and `exact` beyond HTTP's own. Others say
    nothing here; a max-age that is no number is 0."""
    if not header:
        return EVERYTHING
    reads = stores = alike = True
    max_age = float("inf")
    for part in header[:LONGEST].lower().split(","):
        name, _, value = part.strip().partition("=")
        if name == "no-store":
            reads = stores = False
        elif name == "no-cache":
            reads = False
        elif name == "exact":
            alike = False
        elif name == "max-age":
            max_age = min(max_age, float(numeral(value.strip('"'), _DIGITS) or 0))
    return Directives(reads, stores, max_age, alike)
