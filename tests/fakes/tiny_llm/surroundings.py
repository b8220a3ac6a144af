"""What stands around the prompts in training, for the model to learn to look past: instructions, tools, other words."""

from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fakes.tiny_llm.language import Message

INSTRUCTIONS = (
    "You are a helpful assistant.", "Answer briefly.", "Answer only from the context below.", "Be kind and exact.",
    "Use the tools when they help.", "Cite the passages that you use by their numbers in brackets.",
    "If the passages do not hold the answer, say so.", "You are an analyst who works step by step.",
    "Reply in plain words.",     "Never invent a number.", "Follow the schema.", "Call a tool for every calculation.",
    "Do not repeat a call that failed.", "Independent calls may be made in one step.",
)  # fmt: skip
TEXT = (
    "a the of to and in is for on with by as at from or that which an be it this text value name number date time "
    "query path url service tool result search table list item first last page size limit collection passage document "
    "question answer rows columns read only host allowed expression arithmetic current zone"
)
WORDS = TEXT.split()
TYPES = ("string", "number", "integer", "boolean", "array")
PARAMETERS = {
    "calculator": {"expression": {"type": "string"}},
    "search": {"query": {"type": "string"}},
    "current_time": {},
}
OTHERS = ("http_get", "sql", "python", "search", "current_time", "calculator", "list_files", "weather", "greet")


def prose(random: Random, most: int) -> str:
    """Words in no order, ended like a sentence."""
    return " ".join(random.choices(WORDS, k=random.randint(2, most))).capitalize() + "."


def instructions(random: Random) -> str:
    """None, one or several instructions, perhaps with words that mean nothing."""
    picked = random.sample(INSTRUCTIONS, k=random.choice((0, 0, 1, 1, 2, 4)))
    if random.random() < 0.15:
        picked.append(prose(random, 60))
    return random.choice((" ", "\n")).join(picked)


def tool(random: Random, name: str) -> dict[str, Any]:
    """A tool's definition as in OpenAI's API; the words of its description mean nothing."""
    properties = PARAMETERS.get(name) or {
        one: {"type": random.choice(TYPES)} for one in random.sample(WORDS, random.randrange(3))
    }
    if random.random() < 0.5:
        properties = {key: {**value, "description": prose(random, 6)} for key, value in properties.items()}
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if random.random() < 0.5:
        parameters["required"] = list(properties)
    if random.random() < 0.5:
        parameters["additionalProperties"] = False
    return {"type": "function", "function": {"name": name, "description": prose(random, 10), "parameters": parameters}}


def tools(random: Random, named: Sequence[str]) -> list[dict[str, Any]]:
    """The tools a scenario names, and others, in any order. Often none are shown, which makes a shorter lesson."""
    if not named or random.random() < 0.6:
        return []
    names = {*named, *random.sample(OTHERS, random.choice((0, 0, 1, 3)))}
    return [tool(random, name) for name in random.sample(sorted(names), len(names))]


def surrounded(random: Random, messages: Sequence[Message]) -> list[Message]:
    """`messages` with instructions before them, in a system message of their own or at the front of theirs."""
    text = instructions(random)
    if messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{text}\n{messages[0]['content']}".strip()}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages] if text else list(messages)
