"""What a model's server gives beside a call, on its way to the caller and back."""

import json

import pytest

from services.llm.openai.request import LONGEST_BESIDE
from services.orchestrator.beside import shown, taken
from services.runtime.errors import InvalidArgument

SEALED = {"google": {"thought_signature": "c2VhbGVk"}}


@pytest.mark.parametrize(
    "beside",
    [
        {},
        {"extra_content": SEALED},
        {"extra_content": "odd"},
        {"extra_content": SEALED, "reasoning_content": "Let me see."},
        {"reasoning_content": "Let me see."},
        {"provider_specific_fields": {"thought_signature": "c2VhbGVk"}, "signature": "c", "thought_signature": "d"},
    ],
    ids=str,
)
def test_what_comes_back_is_what_was_given(beside: dict[str, object]) -> None:
    given = json.dumps(beside) if beside else ""
    caller = shown(given)
    assert "Let me see." not in caller  # which the caller has as the message's
    assert json.loads(taken(caller, "Let me see.") or "{}") == beside


@pytest.mark.parametrize("beside", ["", json.dumps({"extra_content": SEALED})])
def test_thoughts_go_back_only_where_they_are_wanted(beside: str) -> None:
    assert "Let me see." not in taken(shown(beside), "Let me see.")


def test_thoughts_that_are_too_long_stay_here() -> None:
    caller = shown(json.dumps({"extra_content": SEALED, "reasoning_content": "x"}))
    assert json.loads(taken(caller, "x" * LONGEST_BESIDE)) == {"extra_content": SEALED}


@pytest.mark.parametrize(
    "beside",
    ["{", "[]", '"a"', "NaN", '{"id": "c2"}', '{"function": {"name": "rm"}}', '{"reasoning_content": "x"}',
     json.dumps({"extra_content": "x" * LONGEST_BESIDE})],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_what_no_call_had_is_refused(beside: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        taken(beside, "")
    assert caught.value.details["field"] == "messages"
    assert len(caught.value.message) < 200
