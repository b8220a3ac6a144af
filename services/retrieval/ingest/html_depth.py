"""How deep HTML is nested, before it is parsed."""

import re
from collections import Counter

from services.retrieval.errors import DocumentUnreadable

MOST_DEPTH = 8192
# The depths of all tags together.
MOST_LOOKS = 10**9
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,31})")
# Void elements, and those whose end may be left out.
_CLOSED_BY_OTHERS_TAGS = """
    area base br col embed hr img input link meta source track wbr param
    p li dt dd option optgroup tr td th thead tbody tfoot colgroup caption rt rp html head body
"""
_CLOSED_BY_OTHERS = frozenset(_CLOSED_BY_OTHERS_TAGS.split())


def check_depth(text: str) -> None:
    """Raises DocumentUnreadable where elements are nested more than MOST_DEPTH deep, or many tags deep enough: a parser
    looks through all that is open at each tag. Before anything is parsed, by the tags alone: one closes what is open of
    its name."""
    opened: Counter[str] = Counter()
    depth = looks = 0
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        looks += depth
        if name in _CLOSED_BY_OTHERS:
            continue
        if not tag[1]:
            opened[name] += 1
            depth += 1
            if depth > MOST_DEPTH or looks > MOST_LOOKS:
                raise DocumentUnreadable(f"its elements are nested too deeply: at {tag.start()} they are {depth} deep")
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
    if looks > MOST_LOOKS:
        raise DocumentUnreadable("its elements are nested too deeply: too many tags stand within too many others")
