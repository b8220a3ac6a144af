"""A run's events in OpenAI's form, as its own package reads it."""

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.openai.chat_response import Completion
from tests.fakes.orchestrator import RUN_ID, events


def completion_of(*texts: str, answered: bool = True) -> tuple[Completion, list[ChatCompletionChunk]]:
    completion, chunks = Completion("rag"), []
    for event in events(*texts, answered=answered):
        event.run_id = RUN_ID
        delta = completion.take(event)
        if delta is not None:
            chunks.append(ChatCompletionChunk.model_validate(completion.chunk(delta), strict=True))
    return completion, chunks


@pytest.mark.parametrize("texts", [[], ["Cats sleep."], ["Cats sleep.", "猫は寝る。", "😀"]])
def test_the_whole(texts: list[str]) -> None:
    completion, _ = completion_of(*texts)
    whole = ChatCompletion.model_validate(completion.whole(0.0025), strict=True)
    message = whole.choices[0].message
    assert (whole.object, whole.model, whole.id) == ("chat.completion", "rag", f"chatcmpl-{RUN_ID}")
    assert (message.role, message.content, message.refusal) == ("assistant", " ".join(texts), None)
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (40, 7, 47)
    assert message.annotations is not None
    assert message.content is not None
    cited = [message.content[one.url_citation.start_index : one.url_citation.end_index] for one in message.annotations]
    assert cited == texts
    assert [one.url_citation.url for one in message.annotations] == [f"d{number}" for number in range(len(texts))]


def test_what_openai_has_no_place_for() -> None:
    completion, _ = completion_of("Cats sleep.", answered=False)
    whole = completion.whole(0.0025)
    assert whole["headworks"] == {
        "run_id": RUN_ID, "finish_reason": "no_answer", "timings_ms": {"gateway": 2.5, "orchestrator": 1.5},
    }  # fmt: skip
    citation = whole["choices"][0]["message"]["annotations"][0]["url_citation"]
    assert (citation["document_id"], citation["passage_id"], citation["span"]) == (
        "d0",
        "p",
        {"start": 100, "end": 111},
    )


def test_chunks() -> None:
    completion, chunks = completion_of("Cats sleep.", "Dogs run.")
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas if delta.content] == ["assistant", None]
    assert "".join(delta.content or "" for delta in deltas) == "Cats sleep. Dogs run."
    assert {chunk.choices[0].finish_reason for chunk in chunks} == {None}
    assert {chunk.id for chunk in chunks} == {f"chatcmpl-{RUN_ID}"}
    last = ChatCompletionChunk.model_validate(completion.last_chunk(0.001), strict=True)
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("stop", None)
    usage = ChatCompletionChunk.model_validate(completion.usage_chunk(), strict=True)
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == 47
