"""A whole chat completion to a message. Pure."""

from gateway.faces.http.answer_blocks import AnswerBlocks
from gateway.faces.http.anthropic import answer
from gateway.faces.http.anthropic.message_request import MessageRequest
from gateway.faces.http.chat_events import choice_of
from services.llm.openai.chunks import Json


def message(completion: Json, asked: MessageRequest) -> Json:
    """The message; of an agent with what is beyond Anthropic's form under "headworks"."""
    choice = choice_of(completion)
    blocks = AnswerBlocks(asked.thoughts)
    blocks.take(choice.get("message") or {})
    return {
        "id": answer.message_id(completion.get("id")),
        "type": "message",
        "role": "assistant",
        "model": completion.get("model") or asked.model,
        "content": [answer.block_json(block) for block in blocks.blocks],
        **answer.ending(choice, blocks.blocks, asked.stops),
        "usage": answer.usage_json(completion.get("usage")),
        **({"headworks": completion["headworks"]} if "headworks" in completion else {}),
    }
