"""Telling an answer's text from the tool calls in it, by vLLM's parser for the model's format."""

from typing import Any

from services.models.llm.prompts import Prepared


class ToolCallReader:
    """Reads one answer. Text goes out as it comes; what may be the beginning of a call is held back."""

    def __init__(self, prepared: Prepared) -> None:
        self._parser: Any = prepared.parser
        self._chat = prepared.chat
        self._prompt = prepared.tokens
        self._raw: list[str] = []
        self._ids: list[int] = []
        self._told: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}

    def text(self, text: str, ids: list[int], finished: bool) -> str:
        """The part of the answer's text that the next piece of it makes certain."""
        self._raw.append(text)
        self._ids += ids
        delta = self._parser.parse_delta(text, ids, self._chat, self._prompt, finished=finished)
        found = (delta.content or "") if delta is not None else ""
        for call in (delta.tool_calls or ()) if delta is not None else ():
            self._collect(call)
        if finished and not self._calls:
            found += self._withheld(found)
        self._told.append(found)
        return found

    def complete(self) -> list[dict[str, str]]:
        """The calls of an answer that has ended."""
        calls = [self._calls[number] for number in sorted(self._calls)]
        return calls if self._chat.parallel_tool_calls is not False else calls[:1]

    def _collect(self, call: Any) -> None:
        known = self._calls.setdefault(call.index, {"id": "", "name": "", "arguments": ""})
        if call.id:
            known["id"] = call.id
        if call.function is not None:
            known["name"] += call.function.name or ""
            known["arguments"] += call.function.arguments or ""

    def _withheld(self, found: str) -> str:
        """Text that looked like a call to its end, and was none."""
        told = "".join(self._told) + found
        _, content, _ = self._parser.parse(
            "".join(self._raw), self._chat, enable_auto_tools=True, model_output_token_ids=self._ids
        )
        return content[len(told) :] if content and content.startswith(told) else ""
