"""What the model reads: the agent's instructions, the conversation, the question with its passages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.llm.chat import Message, Role
from services.llm.prompts.errors import BadVariables
from services.llm.prompts.prompt import PromptVersion
from services.orchestrator.agents.specs.errors import ModelUnavailable
from services.orchestrator.agents.specs.spec import AgentSpec
from services.orchestrator.domain.passage import Passage
from services.runtime.templates.template import BadTemplate, Template

PASSAGES = """\
Passages:
{% for passage in passages %}
[{{ passage.number }}] {{ passage.title }}
{{ passage.text }}

{% endfor %}
Question: {{ question }}"""
_PASSAGES = Template(PASSAGES)


def declined(collection: str) -> str:
    """What is said when nothing answers the question."""
    return f"I found no answer to that in the collection {collection!r}."


class PromptTemplates:
    """An agent's templates, compiled."""

    def __init__(self, spec: AgentSpec, named: PromptVersion | None = None) -> None:
        """`named`: the prompt that the spec names as its instructions. Raises BadTemplate."""
        self._instructions = spec.instructions_template
        self._reference, self._named = spec.named_prompt, named
        self._prompt = spec.prompt_template or (_PASSAGES if spec.retrieval.mode == "always" else None)

    def build(self, messages: Sequence[Message], variables: Mapping[str, Any]) -> tuple[Message, ...]:
        """The conversation as the model reads it. The agent's instructions come first, the caller's own after them."""
        try:
            first = self._first(variables)
            rendered = self._prompt.render(variables) if self._prompt else None
        except (BadTemplate, BadVariables) as error:
            raise ModelUnavailable(f"the agent's template is broken: {error.message}") from error
        system = [message for message in messages if message.role is Role.SYSTEM]
        others = [message for message in messages if message.role is not Role.SYSTEM]
        if rendered is not None:
            last = max((at for at, message in enumerate(others) if message.role is Role.USER), default=None)
            if last is not None:
                others[last] = replace(others[last], content=rendered)
        told = [message.content for message in (*first, *system) if message.role is Role.SYSTEM]
        examples = [message for message in first if message.role is not Role.SYSTEM]
        # Who instructs anew in each turn of a session instructs once.
        words = "\n\n".join(text for text in dict.fromkeys(told) if text)
        return (Message(Role.SYSTEM, words), *examples, *others) if words else (*examples, *others)

    def _first(self, variables: Mapping[str, Any]) -> tuple[Message, ...]:
        """The agent's instructions, and examples of turns where a prompt has some. Raises BadTemplate, BadVariables."""
        if self._named is None or self._reference is None:
            return (Message(Role.SYSTEM, self._instructions.render(variables)),)
        return self._named.spec.render(self._reference.values(variables))


def variables(
    question: str, passages: Sequence[Passage], tenant: str, collections: Sequence[str], agent: str, began: float
) -> dict[str, Any]:
    """What a template may name. `began`: when the run did, in seconds since the epoch: `now` is the same in all of its
    steps, for a prompt that begins otherwise is read anew."""
    return {
        "question": question,
        "passages": [
            {
                "number": number,
                "title": passage.title,
                "text": passage.reading,
                "uri": passage.uri,
                "id": passage.id,
                "document_id": passage.document_id,
            }
            for number, passage in enumerate(passages, 1)
            if passage.reading
        ],
        "now": datetime.fromtimestamp(began, UTC).replace(microsecond=0),
        "tenant": tenant,
        "collection": collections[0],
        "collections": list(collections),
        "agent": agent,
        "nothing_found": declined(collections[0]),
    }
