"""A prompt in a call: its messages, and the caller's values in them, which guards read like all that a caller sends.

The template is the tenant's own and is not screened; what a guard changes in a value is changed in the messages.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from services.llm.chat import Role
from services.llm.openai import request
from services.llm.openai.leaves import Leaf
from services.llm.prompts.prompt import PromptVersion
from services.llm.prompts.variables import bound


class PromptUse:
    """Raises BadVariables when it is made."""

    def __init__(self, version: PromptVersion, given: Mapping[str, Any]) -> None:
        self.label = version.label
        self._spec = version.spec
        values = bound(version.name, self._spec.variables, given)
        self._values = {name: list(value) if isinstance(value, list) else value for name, value in values.items()}
        # In the order in which they are read: what is split over values is seen together.
        self.leaves = [leaf for name in self._spec.in_order(given) for leaf in _leaves(self._values, name)]
        self.messages = self._spec.fill(self._values)

    @cached_property
    def instructions(self) -> str:
        """What an answer must not give away."""
        return "\n".join(message.content for message in self.messages if message.role is Role.SYSTEM)

    @property
    def asks(self) -> bool:
        """Whether its messages end with a user's."""
        return bool(self.messages) and self.messages[-1].role is Role.USER

    @property
    def texts(self) -> list[str]:
        """The caller's values, as guards read them."""
        return [leaf.text for leaf in self.leaves]

    def put(self, texts: Sequence[str]) -> None:
        """Put others in their places. Raises BadVariables."""
        if list(texts) == self.texts:
            return
        for leaf, text in zip(self.leaves, texts, strict=True):
            leaf.put(text)
        self.messages = self._spec.fill(self._values)

    def json(self) -> list[dict[str, Any]]:
        """The messages in OpenAI's form."""
        return request.messages(self.messages)


def _leaves(values: dict[str, Any], name: str) -> list[Leaf]:
    value, path = values[name], f"headworks.prompt.variables.{name}"
    if isinstance(value, list):
        return [Leaf(value, place, text, path=f"{path}[{place}]") for place, text in enumerate(value) if text]
    if isinstance(value, str):
        return [Leaf(values, name, value, path=path)] if value else []
    return [] if isinstance(value, bool) else [Leaf(values, name, str(value), path=path)]
