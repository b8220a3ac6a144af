"""Prompts: what may stand in one, and what comes of it."""

import time
from typing import Any

import pytest

from services.llm.chat import Message, Role
from services.llm.prompts.errors import BadPrompt, BadVariables
from services.llm.prompts.prompt import LARGEST, LONGEST, digest, parse, reference
from services.runtime.errors import InvalidArgument

HEAD = "name: p\nvariables:\n  x:\n  n: {type: integer, default: 2}\n  many: {type: list, required: false}\n"
SECONDS = 5.0
"""Far more than a rendering takes, and far less than one does that nothing bounds."""


def prompt(content: str, head: str = HEAD) -> Any:
    return parse(f"{head}messages:\n  - role: system\n    content: |\n      " + content.replace("\n", "\n      "))


def said(content: str, **given: Any) -> str:
    (message,) = prompt(content).render(given)
    assert isinstance(message, Message)
    return message.content.rstrip("\n")


@pytest.mark.parametrize(
    ("content", "given", "text"),
    [
        ("{{ x }} {{ n }}", {"x": "a"}, "a 2"),
        ("{{ x }} {{ n }}", {"x": "a", "n": 5}, "a 5"),
        ("{{ x }} {{ n }}", {"x": "a", "n": "5"}, "a 5"),  # of clients that send texts alone
        ("{{ x }}", {"x": "{{ n }}{% for a in many %}"}, "{{ n }}{% for a in many %}"),
        (
            "{{ x }}{% for each in many %}, {{ each }}{% endfor %}",
            {"x": "a", "many": ["b", "{{ x }}"]},
            "a, b, {{ x }}",
        ),
        ("{{ x }}{% if many %} and more{% endif %}", {"x": "a"}, "a"),
        ("No variable.", {"x": "a"}, "No variable."),
    ],
)
def test_values_are_data(content: str, given: dict[str, Any], text: str) -> None:
    assert said(content, **given) == text


def test_messages_are_turns() -> None:
    spec = parse(
        "name: p\nmessages:\n  - {role: system, content: a}\n  - {role: user, content: b}\n"
        "  - {role: assistant, content: c}\n"
    )
    assert [(message.role, message.content) for message in spec.render({})] == [
        (Role.SYSTEM, "a"), (Role.USER, "b"), (Role.ASSISTANT, "c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words", "variable"),
    [
        ({}, "the variable 'x' needs a value, a string", "x"),
        ({"x": None}, "the variable 'x' needs a value", "x"),
        ({"x": 1}, "the variable 'x' must be a string", "x"),
        ({"x": "a", "n": 1.5}, "the variable 'n' must be a whole number", "n"),
        ({"x": "a", "n": True}, "the variable 'n' must be a whole number", "n"),
        ({"x": "a", "n": 1 << 60}, "the variable 'n' must be a whole number", "n"),
        ({"x": "a", "many": "b"}, "the variable 'many' must be a list", "many"),
        ({"x": "a", "many": [1]}, "the variable 'many' must be a list", "many"),
        ({"x": "a", "mny": []}, "no variable 'mny'; did you mean 'many'?", "mny"),
        ({"x": "a", "zzzzzz": 1}, "no variable 'zzzzzz'; it has x, n, many", "zzzzzz"),
    ],
)
def test_a_value_that_cannot_be_is_named(given: dict[str, Any], words: str, variable: str) -> None:
    with pytest.raises(BadVariables) as caught:
        said("{{ x }}", **given)
    assert words in caught.value.message
    assert caught.value.details["variable"] == variable


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a\n{{ y }}", "line 9, messages[0].content: the template names 'y', which is not declared under variables"),
        ("a\n{{ x", "line 10, messages[0].content: the template is broken"),
        ("{{ 'a' * 10 ** 9 }}", "is for small numbers only"),
        ("{% for a in range(10 ** 9) %}{% endfor %}", "range has at most 1000 items"),
        ("{{ x.__class__.__mro__ }}", "is unsafe"),
        ("{{ x.format(n) }}", "'format' cannot be called"),
        ("{% include 'x' %}", "no loader for this environment"),
        ("{% for a in range(1000) %}" * 3 + "{% endfor %}" * 3, "more than 10000 steps"),
    ],
)
def test_what_a_template_may_not_do_is_refused_when_it_is_stored(content: str, words: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(BadPrompt) as caught:
        prompt(content)
    assert words in caught.value.message
    assert time.perf_counter() - begun < SECONDS


@pytest.mark.parametrize(
    "content",
    [
        "{% for a in x %}{% for b in x %}{{ a }}{% endfor %}{% endfor %}",
        "{{ x }}" * 40,
        "{{ x|replace('a', 'aaaaaaaaaaaaaaaa') }}",
    ],
)
def test_values_cannot_make_a_rendering_long(content: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(BadVariables, match="cannot be rendered with these values"):
        said(content, x="a" * LONGEST)
    assert time.perf_counter() - begun < SECONDS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a prompt is a mapping"),
        ("name: P\nmessages: [{role: user, content: a}]", "line 1, name: must be 1 to 64 characters"),
        ("name: p", "messages: is missing"),
        ("name: p\nmessages: []", "line 2, messages"),
        ("name: p\nmessages: [{role: tool, content: a}]", "must be 'system', 'user' or 'assistant'"),
        ("name: p\nvariable: {}\nmessages: [{role: user, content: a}]", "line 2, variable: there is no such field"),
        ("name: p\nvariables: {x: {type: text}}\nmessages: [{role: user, content: a}]", "line 2, variables.x.type"),
        ("name: p\nvariables: {x: {default: 1}}\nmessages: [{role: user, content: a}]", "default: it must be a string"),
        ("name: p\nvariables: {1x: }\nmessages: [{role: user, content: a}]", "line 2, variables"),
        (
            "name: p\nvariables: {n: {type: integer, required: false}}\nmessages: [{role: user, content: a}]",
            "this one needs a default",
        ),
        ("name: p\ndescription: " + "a" * LARGEST, "at most 256 KiB"),
    ],
)
def test_a_prompt_that_is_wrong_says_where(text: str, words: str) -> None:
    with pytest.raises(BadPrompt) as caught:
        parse(text)
    assert words in caught.value.message


def test_a_digest_is_of_the_meaning() -> None:
    one = parse("name: p\nmessages: [{role: user, content: a}]\n")
    assert digest(one) == digest(parse("# said otherwise\nmessages:\n- content: a\n  role: user\nname: p\n"))
    assert digest(one) != digest(parse("name: p\nmessages: [{role: user, content: b}]\n"))


def test_a_reference_names_a_version_or_the_latest() -> None:
    assert (reference("p"), reference("p@12")) == (("p", 0), ("p", 12))
    for wrong in ("", "P", "p@", "p@0", "p@01", "p@x", "p@1@2", "p@" + "9" * 10):
        with pytest.raises(InvalidArgument):
            reference(wrong)


@pytest.mark.parametrize(
    ("content", "plain"),
    [
        ("a", True),
        ("{{ x }} {{n}}", True),
        ("{{ x|upper }}", False),
        ("{% if x %}a{% endif %}", False),
        ("{{ x ~ x }}", False),
    ],
)
def test_what_only_names_variables_is_plain(content: str, plain: bool) -> None:
    assert prompt(content).plain is plain
