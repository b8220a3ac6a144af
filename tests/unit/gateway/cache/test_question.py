"""Who shares answers, and what tells two questions apart."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.cache.policy import CachePolicy
from gateway.cache.question import question_of, readers
from services.runtime.identity import Identity

ANN = Identity("acme", "ann", frozenset({"models.call:*"}), key="key_1", groups=("hr",), claims=(("team", ("a",)),))


def partition(who: Identity, **policy: Any) -> str:
    return question_of("chat", {"readers": readers(who, CachePolicy(**policy))}, "why?").partition


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"}, {"groups": ()}, {"groups": ("board", "hr")}, {"claims": (("team", ("b",)),)},
        {"scopes": frozenset({"documents.others:read"})}, {"scopes": frozenset({"*"})},
    ],
)  # fmt: skip
@pytest.mark.parametrize("shared_by", ["groups", "user", "key"])
def test_nobody_gets_what_others_may_see(other: dict[str, Any], shared_by: str) -> None:
    assert partition(replace(ANN, **other), shared_by=shared_by) != partition(ANN, shared_by=shared_by)


@pytest.mark.parametrize(
    ("shared_by", "other", "same"),
    [
        ("groups", {"subject": "ben", "key": "key_2"}, True), ("user", {"key": "key_2"}, True),
        ("user", {"subject": "ben"}, False), ("key", {"key": "key_2"}, False), ("key", {"project": "p"}, True),
    ],
)  # fmt: skip
def test_a_policy_says_who_shares(shared_by: str, other: dict[str, Any], same: bool) -> None:
    found = partition(replace(ANN, **other), shared_by=shared_by) == partition(ANN, shared_by=shared_by)
    assert found is same


def test_the_order_of_fields_is_nothing() -> None:
    one, other = question_of("chat", {"a": 1, "b": 2}, ["x"]), question_of("chat", {"b": 2, "a": 1}, ["x"])
    assert one == other
    assert question_of("run", {"a": 1, "b": 2}, ["x"]).key != one.key
    assert question_of("chat", {"a": 1, "b": 2}, ["y"]).partition == one.partition
