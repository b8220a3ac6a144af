"""The steps that one rendering of a template may take, and what values cost of them."""

from collections.abc import Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import Any

from jinja2.exceptions import SecurityError

MOST_STEPS = 10_000
CHARACTERS = 256
"""Of text that are one step."""


class Budget:
    """What is left of a rendering's steps."""

    __slots__ = ("_left",)

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Raises SecurityError where nothing is left."""
        self._left -= steps
        if self._left < 0:
            raise SecurityError(f"the template takes more than {MOST_STEPS} steps (rounds of loops, calls and filters)")


_BUDGET: ContextVar[Budget] = ContextVar("template_budget")


@contextmanager
def budgeted() -> Iterator[None]:
    """A rendering with a budget of its own; one within it is a part of it."""
    if _BUDGET.get(None) is not None:
        yield
        return
    token = _BUDGET.set(Budget())
    try:
        yield
    finally:
        _BUDGET.reset(token)


def spend(steps: int) -> None:
    """Raises SecurityError where the rendering under way has no steps left."""
    _BUDGET.get().spend(steps)


def spend_for(value: Any, times: int = 1) -> None:
    """Spend a step for every value in it, however deep, as often as it is reached, and for its texts by their length:
    what it costs to write or compare it. Raises SecurityError."""
    budget = _BUDGET.get()
    if isinstance(value, str):
        budget.spend((1 + len(value) // CHARACTERS) * times)
        return
    pending: list[Iterator[Any]] = [iter((value,))]
    while pending:
        for part in pending[-1]:
            budget.spend((1 + len(part) // CHARACTERS if isinstance(part, str) else 1) * times)
            if (inner := _parts(part)) is not None:
                pending.append(inner)
                break
        else:
            pending.pop()


def spend_for_items(value: Any, times: int = 1) -> None:
    """Spend a step for each of its items, a text's characters included: what it costs to go through it. What has no
    length costs it when it is read. Raises SecurityError."""
    spend((1 + (len(value) if isinstance(value, Collection) else 0)) * times)


def counted(items: Iterable[Any], times: int = 1, *, deep: bool = False) -> Iterator[Any]:
    """The items, which cost their steps when they are read; `deep`: those of all in them. Raises SecurityError."""
    budget = _BUDGET.get()
    for item in items:
        if deep:
            spend_for(item, times)
        else:
            budget.spend(times)
        yield item


def _parts(value: Any) -> Iterator[Any] | None:
    if isinstance(value, Mapping):
        return chain.from_iterable(value.items())
    if isinstance(value, list | tuple | range | KeysView | ValuesView | ItemsView):
        inner: Iterable[Any] = value
        return iter(inner)
    return None
