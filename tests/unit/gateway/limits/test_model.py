"""Which rules apply to whom."""

import pytest

from gateway.limits.model import LimitKey, Rule, applying, check
from gateway.limits.service import RuleBook, default_rule
from services.runtime.errors import InvalidArgument
from services.runtime.identity import Identity

CALL = LimitKey("acme", "key_1", "rag")


@pytest.mark.parametrize(
    ("rules", "chosen"),
    [
        ([], []),
        ([Rule("a", tenant="acme"), Rule("b", tenant="other")], ["a"]),
        ([Rule("each", tenant="*"), Rule("named", tenant="acme")], ["named"]),
        ([Rule("named", tenant="acme"), Rule("each", tenant="*")], ["named"]),
        ([Rule("all"), Rule("tenant", tenant="acme"), Rule("key", caller="*")], ["all", "key", "tenant"]),
        ([Rule("tenant", tenant="acme"), Rule("model", tenant="acme", model="rag")], ["tenant", "model"]),
        ([Rule("other", model="chat"), Rule("each", model="*")], ["each"]),
        ([Rule("each", caller="*"), Rule("mine", tenant="acme", caller="*")], ["mine"]),
        ([Rule("key", tenant="acme", caller="key_1"), Rule("mine", tenant="acme", caller="*")], ["key"]),
        ([Rule("others", tenant="other", caller="key_1"), Rule("each", caller="*")], ["each"]),
    ],
)
def test_of_each_shape_the_most_specific_applies(rules: list[Rule], chosen: list[str]) -> None:
    assert sorted(one.rule.id for one in applying(rules, CALL)) == sorted(chosen)


def test_each_one_has_a_bucket_of_its_own() -> None:
    def bucket(rule: Rule, call: LimitKey) -> str:
        return applying([rule], call)[0].bucket

    other = LimitKey("acme", "key_2", "chat")
    assert bucket(Rule("a", tenant="*"), CALL) == bucket(Rule("a", tenant="*"), other)
    assert bucket(Rule("a", caller="*"), CALL) != bucket(Rule("a", caller="*"), other)
    assert bucket(Rule("a", tenant="*", model="*"), CALL) != bucket(Rule("a", tenant="*", model="*"), other)
    assert bucket(Rule("a"), CALL) == bucket(Rule("a"), LimitKey("x", "y", "z"))


def test_names_cannot_be_made_up_so_that_they_meet() -> None:
    rule = Rule("a", tenant="*", caller="*")
    one, other = applying([rule], LimitKey("a:b", "c", "")), applying([rule], LimitKey("a", "b:c", ""))
    assert one[0].bucket != other[0].bucket


@pytest.mark.parametrize("rule", [Rule("a", requests=-1), Rule("a", caller="key_1")])
def test_a_rule_that_makes_no_sense_is_refused(rule: Rule) -> None:
    with pytest.raises(InvalidArgument):
        check(rule)


def test_a_rule_for_each_caller_stands_before_the_default() -> None:
    book = RuleBook(default_rule(60, 0, 0))
    who = Identity("acme", "user", key="key_1")
    assert [one.rule.id for one in book.plan(who, "rag")] == ["default"]
    book.set([Rule("mine", tenant="acme", caller="key_1", tokens=5)])
    assert [one.rule.id for one in book.plan(who, "rag")] == ["mine"]
    assert [one.rule.id for one in book.plan(Identity("acme", "user"), "rag")] == ["default"]


def test_a_rule_without_limits_lifts_the_default() -> None:
    book = RuleBook(default_rule(60, 0, 0))
    book.set([Rule("free", tenant="acme", caller="*")])
    assert book.plan(Identity("acme", "user"), "rag") == ()


def test_the_book_is_bounded() -> None:
    book = RuleBook(default_rule(60, 0, 0), limit=3)
    for number in range(10):
        book.plan(Identity("acme", "user"), f"model-{number}")
    assert len(book._plans) == 3
