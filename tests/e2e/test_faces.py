"""Other faces than chat completions through the edge, by the official clients."""

import anthropic
import openai

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import Mesh
from tests.e2e.test_openai import QUESTION

SAID = "The queen can lay 2,000 eggs in a day."


def test_anthropics_messages_stream_an_answer_with_its_source(mesh: Mesh) -> None:
    with (
        anthropic.Anthropic(base_url=mesh.edge, api_key=mesh.key, max_retries=0, timeout=30) as client,
        client.messages.stream(
            model="rag", max_tokens=200, messages=[{"role": "user", "content": QUESTION}],
            extra_body={"metadata": {"collection": COLLECTION}},
        ) as stream,
    ):  # fmt: skip
        message = stream.get_final_message()
    [text] = message.content
    assert text.type == "text"
    assert SAID in text.text
    assert text.citations
    assert text.citations[0].cited_text in text.text


def test_a_response_goes_on_where_the_one_before_ended(mesh: Mesh) -> None:
    with openai.OpenAI(base_url=f"{mesh.edge}/v1", api_key=mesh.key, max_retries=0, timeout=30) as client:
        first = client.responses.create(model="rag", input=QUESTION, metadata={"collection": COLLECTION})
        *_, last = client.responses.create(
            model="rag", input="And how long does a worker live in summer?", previous_response_id=first.id, stream=True,
            metadata={"collection": COLLECTION},
        )  # fmt: skip
    assert SAID in first.output_text
    assert last.type == "response.completed"
    assert last.response.previous_response_id == first.id
    assert "six weeks" in last.response.output_text


def test_a_completion_and_a_moderation(mesh: Mesh) -> None:
    with openai.OpenAI(base_url=f"{mesh.edge}/v1", api_key=mesh.key, max_retries=0, timeout=30) as client:
        answer = client.completions.create(
            model="rag", prompt=QUESTION, extra_body={"metadata": {"collection": COLLECTION}}
        )
        judged = client.moderations.create(input=["Hello.", "Good bye."])
    assert SAID in answer.choices[0].text
    assert [result.flagged for result in judged.results] == [False, False]
