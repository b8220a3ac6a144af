"""What a caller asks of a run."""

import pytest
from google.protobuf import json_format
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_pb2

from gateway.calls.run_request import RunTexts
from gateway.faces.http.openai.chat_request import read

SCHEMA = '{"type": "object", "properties": {"secret": {}}}'


def request_of(**fields: object) -> pb.RunRequest:
    return json_format.ParseDict(fields, pb.RunRequest())


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "ROLE_USER", "content": "secret"}]},
        {"messages": [{"role": "ROLE_USER", "name": "secret"}]},
        {"messages": [{"role": "ROLE_TOOL", "toolCallId": "secret", "content": "secret"}]},
        {"messages": [{"toolCalls": [{"id": "secret", "name": "secret", "arguments": "secret"}]}]},
        {
            "messages": [
                {"reasoning": "secret", "toolCalls": [{"beside": '{"secret": [{"secret": "a secret"}, "secret"]}'}]}
            ]
        },
        {"messages": [{"toolCalls": [{"beside": "secret {"}, {"beside": '"secret"'}]}]},
        {"tools": [{"name": "secret", "description": "secret", "parameters": SCHEMA}]},
        {"toolChoice": {"function": "secret"}},
        {"responseFormat": {"name": "secret", "schema": SCHEMA}},
        {"sampling": {"stop": ["end", "secret"]}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_every_text_of_a_run_is_read_counted_and_replaced(fields: dict[str, object]) -> None:
    request = request_of(**fields)
    texts = RunTexts(request)
    asked = texts.asked("rag", "")
    assert sum(text.count("secret") for text in asked.texts) == str(request).count("secret")
    texts.put([text.replace("secret", "X") for text in asked.texts])
    assert "secret" not in str(request)


def test_what_a_model_reads_is_counted() -> None:
    plain = {"messages": [{"role": "ROLE_USER", "content": "why?"}]}
    long = "x" * 4000
    for more in (
        {"messages": [{"role": "ROLE_USER", "content": long}]},
        {"messages": [*plain["messages"], {"toolCalls": [{"name": "f", "arguments": long}]}]},
        {"messages": [*plain["messages"], {"toolCalls": [{"name": "f", "beside": long}]}]},
        {"messages": [*plain["messages"], {"toolCalls": [{"name": "f"}], "reasoning": long}]},
        {**plain, "tools": [{"name": "f", "description": long}]},
        {**plain, "tools": [{"name": "f", "parameters": long}]},
        {**plain, "responseFormat": {"schema": long}},
    ):
        assert 1000 <= RunTexts(request_of(**more)).asked("rag", "").prompt_tokens < 1030


def test_what_is_no_text_beside_a_call_is_named() -> None:
    calls = [{"beside": '{"extra_content": {"file_id": "f"}}'}]
    assert (
        RunTexts(request_of(messages=[{"toolCalls": calls}])).asked("rag", "").unread == "beside.extra_content.file_id"
    )


def test_what_nothing_was_found_in_stays_as_it_is() -> None:
    request = request_of(messages=[{"role": "ROLE_USER", "content": "why?"}], model="rag")
    before = request.SerializeToString()
    texts = RunTexts(request)
    texts.put(texts.asked("rag", "").texts)
    assert request.SerializeToString() == before


def test_instructions_are_those_of_the_agent_and_of_the_caller() -> None:
    request = request_of(messages=[{"role": "ROLE_SYSTEM", "content": "a\nb"}, {"role": "ROLE_USER", "content": "c"}])
    assert RunTexts(request).asked("rag", "own").instructions == "own\na\nb"


def test_parts_are_texts_that_are_read_one_behind_the_other() -> None:
    parts = [{"type": "text", "text": text} for text in ("a bad", "word\nand", "more")]
    body = {"model": "rag", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]}
    chat = read(body)
    assert chat.run.messages[1].content == "a bad\nword\nand\nmore"
    texts = RunTexts(chat.run, chat.seams)
    asked = texts.asked("rag", "")
    assert [[asked.texts[at] for at in flow] for flow in asked.flows] == [["s"], ["a bad", "word\nand", "more"]]
    texts.put(["s", "a *******", "\nand", "more"])
    assert chat.run.messages[1].content == "a *******\n\nand\nmore"
    assert chat.run.messages[0].role == run_pb2.Message.ROLE_SYSTEM


def test_a_part_that_is_a_refusal_is_a_part_like_others() -> None:
    parts = [{"type": "refusal", "refusal": "No, no."}, {"type": "output_text", "text": "Or yes."}]
    body = {"model": "rag", "messages": [{"role": "assistant", "content": parts}, {"role": "user", "content": "So?"}]}
    chat = read(body)
    asked = RunTexts(chat.run, chat.seams).asked("rag", "")
    assert list(asked.texts) == ["No, no.", "Or yes.", "So?"]
