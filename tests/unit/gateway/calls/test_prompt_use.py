"""What guards see of a prompt's values."""

from typing import Any

import pytest

from gateway.calls.prompt_use import PromptUse
from services.llm.prompts.prompt import PromptVersion, parse

SPEC = """
name: p
variables: {c: {}, b: {}, a: {}, n: {type: integer, required: false, default: 0}, ok: {type: boolean, default: true}}
messages:
  - {role: system, content: "From {{ a }}{{ b }}: {{ n }}"}
  - {role: user, content: "{{ c }}"}
"""


def used(**given: Any) -> PromptUse:
    return PromptUse(PromptVersion("p", 1, parse(SPEC)), given)


@pytest.mark.parametrize("names", ["abc", "cba", "bca"])
def test_values_are_seen_in_the_order_in_which_they_are_read(names: str) -> None:
    given = {"a": "ann@exa", "b": "mple.org", "c": "Hi"}
    assert used(**{name: given[name] for name in names}).texts == ["ann@exa", "mple.org", "Hi"]


def test_numbers_are_seen_too_and_can_be_replaced() -> None:
    use = used(a="4111", b="1111", c="1111", n=1111)
    assert use.texts == ["4111", "1111", "1111", "1111"]
    use.put(["[CARD]", "", "", ""])
    assert use.messages[0].content.strip() == "From [CARD]:"
    assert "ok" not in used(a="x", b="y", c="z", ok=True).texts
