"""Bodies of other forms that are malformed or only odd: each is read, or refused by a typed error."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.faces.http.anthropic import message_request
from gateway.faces.http.openai import bare_request, completions, moderations
from gateway.faces.http.openai.responses import response_request
from services.runtime.errors import DomainError

Shapes = Mapping[str, Sequence[str]]
SOURCES: Shapes = {"base64": ("media_type", "data"), "url": ("url",), "text": ("data",), "content": ("content",)}
ANTHROPIC: Shapes = {
    "text": ("text", "cache_control"), "image": ("source",), "document": ("source", "title", "context", "citations"),
    "search_result": ("source", "title", "content"), "tool_use": ("id", "name", "input", "extra_content"),
    "tool_result": ("tool_use_id", "content", "is_error"), "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",), "odd": (),
}  # fmt: skip
PARTS: Shapes = {
    "input_text": ("text",), "output_text": ("text", "annotations"), "refusal": ("refusal",),
    "input_image": ("image_url", "detail"), "input_file": ("file_data", "filename"), "reasoning_text": ("text",),
    "summary_text": ("text",), "odd": (),
}  # fmt: skip
ITEMS: Shapes = {
    "message": ("role", "content"), "function_call": ("call_id", "name", "namespace", "arguments"),
    "custom_tool_call": ("call_id", "name", "input"), "function_call_output": ("call_id", "output"),
    "reasoning": ("summary", "content"), "odd": (),
}  # fmt: skip
TOOLS: Shapes = {
    "function": ("name", "description", "parameters", "strict"), "custom": ("name", "format", "input_schema"),
    "namespace": ("name", "tools"), "odd": (),
}  # fmt: skip
scalars: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, 1.5, "", "a", [], ["a"], {}, {"type": "text"}, [{}], [1]]
)
roles = st.sampled_from(["user", "assistant", "system", "developer", "tool", None])


def mostly(strategy: st.SearchStrategy[Any], other: st.SearchStrategy[Any] = scalars) -> st.SearchStrategy[Any]:
    """One in ten is another: more would leave little behind the first that is refused."""
    return st.integers(0, 9).flatmap(lambda number: strategy if number else other)


def shaped(shapes: Shapes, inner: st.SearchStrategy[Any] = scalars) -> st.SearchStrategy[Any]:
    """An object of one of these types, whose fields are texts or what is within."""
    value = st.one_of(st.just("a"), inner)
    made = [
        st.fixed_dictionaries({"type": st.just(kind)}, optional=dict.fromkeys(names, value))
        for kind, names in shapes.items()
    ]
    return mostly(st.one_of(made))


def lists(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return mostly(st.lists(strategy, min_size=1, max_size=2))


tools = shaped(TOOLS, lists(shaped(TOOLS)))
odd = st.one_of(
    scalars, lists(tools), shaped({"json_schema": ("schema", "name"), "tool": ("name",), "enabled": ("budget_tokens",)})
)
inner_blocks = lists(shaped(ANTHROPIC, shaped(SOURCES)))
blocks = shaped(ANTHROPIC, st.one_of(shaped(SOURCES, inner_blocks), inner_blocks, scalars))
parts = lists(shaped(PARTS))
turns = st.fixed_dictionaries(
    {"role": mostly(st.sampled_from(["user", "assistant", "system"])), "content": lists(blocks)}
)
items = st.one_of(st.fixed_dictionaries({"role": mostly(roles), "content": parts}), shaped(ITEMS, parts))
USER = {"role": "user", "content": "a"}


def bodies(known: Collection[str], **needed: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """What must be there, and now and then one of the other fields, or of another name."""
    others = st.sampled_from([*(name for name in sorted(known) if name not in needed), "odd"])
    more = mostly(st.just({}), st.dictionaries(others, odd, max_size=1))
    return st.tuples(more, st.fixed_dictionaries(needed)).map(lambda both: both[0] | both[1])


messages = bodies(
    message_request.KNOWN, model=st.just("m"), max_tokens=st.just(5),
    tools=mostly(st.just([]), st.lists(tools, max_size=2)),
    messages=st.lists(turns, min_size=1, max_size=2).map(lambda made: [*made, USER]),
)  # fmt: skip
responses = bodies(
    response_request.KNOWN, model=st.just("m"), tools=mostly(st.just([]), st.lists(tools, max_size=2)),
    input=st.lists(items, min_size=1, max_size=3),
)  # fmt: skip
drawn = settings(max_examples=300, deadline=None, database=None)


@drawn
@given(messages)
def test_a_message_is_read_or_refused(body: dict[str, Any]) -> None:
    with suppress(DomainError):
        asked = message_request.parse(body, None)
        bare_request.parse(asked.chat)
        assert asked.prompt_tokens() > 0


@drawn
@example({"model": "m", "input": [{"type": "reasoning", "summary": [{"type": "input_image", "image_url": "a"}]}]})
@given(responses)
def test_a_response_is_read_or_refused(body: dict[str, Any]) -> None:
    with suppress(DomainError):
        bare_request.parse(response_request.parse(body).chat)


@drawn
@given(bodies(completions.PASSED, model=st.just("m"), prompt=scalars))
def test_a_completion_is_read_or_refused(body: dict[str, Any]) -> None:
    with suppress(DomainError):
        bare_request.parse(completions.parse(body))


@drawn
@given(st.binary(max_size=40))
def test_a_moderation_is_read_or_refused(data: bytes) -> None:
    with suppress(DomainError):
        moderations.parse(b'{"input": ' + data + b"}")
