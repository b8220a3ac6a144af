"""The tiny model says what its scenarios say, by transformers' own greedy decoding."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from tests.fakes.tiny_llm.adapter import write_adapter
from tests.fakes.tiny_llm.checking import exams, wrong
from tests.fakes.tiny_llm.checkpoint import read_in_a_mesh
from tests.fakes.tiny_llm.language import Message, Scenario
from tests.fakes.tiny_llm.scenarios import SCENARIOS

TOOLS = {
    "calculator": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    "current_time": {"type": "object", "properties": {}},
    "search": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}


class Speaker:
    """A loaded checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def answer(self, messages: list[Message], names: list[str]) -> str:
        """What the model says next, greedily."""
        tools = [{"type": "function", "function": {"name": name, "parameters": TOOLS[name]}} for name in names]
        prompt = self.tokenizer.apply_chat_template(
            messages, tools=tools or None, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            ids = self.model.generate(**prompt, max_new_tokens=300, do_sample=False)
        return str(self.tokenizer.decode(ids[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.fixture(scope="module")
def speaker(tiny_llm: Path) -> Speaker:
    return Speaker(tiny_llm)


def expected(message: Message) -> str:
    """An assistant's message as the model is to write it."""
    called = [call["function"] for call in message.get("tool_calls", [])]
    blocks = [
        f'<tool_call>\n{{"name": "{one["name"]}", "arguments": {one["arguments"]}}}\n</tool_call>' for one in called
    ]
    return "\n".join(blocks) if blocks else str(message["content"])


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.anywhere], ids=lambda one: str(one.name))
def test_every_answer_of_the_examples_comes_out_exactly(speaker: Speaker, scenario: Scenario) -> None:
    for values in scenario.examples:
        messages = scenario.filled(values)
        for at, message in enumerate(messages):
            if message["role"] == "assistant":
                assert speaker.answer(messages[:at], list(scenario.tools)) == expected(message)


def test_a_result_is_used_and_not_known_by_heart(speaker: Speaker) -> None:
    scenario = next(one for one in SCENARIOS if one.name == "product")
    *asked, said = scenario.filled({**scenario.examples[0], "n": "5036"})
    assert speaker.answer(asked, ["calculator"]) == said["content"] == "17 times 23 is 5036."


def test_every_tool_is_offered_when_one_is_called(speaker: Speaker) -> None:
    question: Message = {"role": "user", "content": "What is 17 times 23?"}
    said = speaker.answer([{"role": "system", "content": "Be brief."}, question], list(TOOLS))
    assert json.loads(said.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")) == {
        "name": "calculator",
        "arguments": {"expression": "17 * 23"},
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_example_is_wrong_in_any_place_in_either_precision(tiny_llm: Path, dtype: torch.dtype) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_llm, dtype=dtype)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llm)
    assert wrong(model, tokenizer, exams(tokenizer, SCENARIOS), least=0) == {}


def test_what_agents_and_tools_say_is_part_of_what_is_learned() -> None:
    met = json.loads(read_in_a_mesh())
    system = "\n".join(messages[0]["content"] for messages, _ in met)
    assert "You answer questions with the help of tools." in system
    assert {tool["function"]["name"] for _, tools in met for tool in tools} == {"search", "calculator", "current_time"}


def test_an_adapter_has_the_shapes_of_the_model(tiny_llm: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    folder = write_adapter(tmp_path / "adapter", tiny_llm, rank=4)
    model = LlamaForCausalLM.from_pretrained(tiny_llm)
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
        for name in names:
            module = model.get_submodule(name.removeprefix("base_model.model.").rsplit(".", 2)[0])
            side = 1 if "lora_A" in name else 0
            assert 4 in file.get_slice(name).get_shape()
            assert module.weight.shape[side] in file.get_slice(name).get_shape()
    assert len(names) == 2 * 2 * model.config.num_hidden_layers
