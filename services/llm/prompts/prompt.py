"""A prompt: what may stand in its YAML, and what comes of it. Pure.

Its templates are the tenant's own; what it is rendered with is data, and never read as a template.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.llm.chat import Message, Role
from services.llm.prompts.errors import BadPrompt, BadVariables
from services.llm.prompts.variables import Variables, bound
from services.runtime import strict_yaml
from services.runtime.errors import InvalidArgument
from services.runtime.strict_yaml import BadYaml, Problem, YamlDocument, dotted
from services.runtime.templates.budget import budgeted
from services.runtime.templates.template import BadTemplate, Template

NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
LARGEST = 256 << 10
LONGEST = 1 << 20
"""Characters of all messages of a rendering."""
_REFERENCE = re.compile(rf"({NAME})(?:@([1-9][0-9]{{0,8}}))?")
_COSTLY = re.compile(r"\{%|\{\{(?!\s*\w+\s*\}\})")
_ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
_MOST_PROBLEMS = 20


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PromptMessage(_Part):
    """`content` is a template."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)

    @cached_property
    def template(self) -> Template:
        """Raises BadTemplate."""
        return Template(self.content.strip())


class PromptSpec(_Part):
    """`messages` are a conversation's first: what instructs, and examples of turns."""

    name: str = Field(pattern=f"^{NAME}$")
    description: str = Field("", max_length=1000)
    variables: Variables = Field(default_factory=dict)
    messages: tuple[PromptMessage, ...] = Field(min_length=1, max_length=64)

    def render(self, given: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages with these values in them. Raises BadVariables."""
        return self.fill(bound(self.name, self.variables, given))

    def fill(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages with the values of all variables in them, within the steps of one rendering. Raises
        BadVariables."""
        try:
            with budgeted():
                made = [Message(_ROLES[each.role], each.template.render(values)) for each in self.messages]
        except BadTemplate as error:
            raise BadVariables(self.name, f"it cannot be rendered with these values: {error.message}") from error
        if sum(len(message.content) for message in made) > LONGEST:
            raise BadVariables(self.name, f"what comes of these values is over {LONGEST} characters")
        return tuple(message for message in made if message.content)

    def in_order(self, names: Iterable[str]) -> list[str]:
        """The variables in the order in which the templates first name them; those that they do not come last."""
        text = "\n".join(message.content for message in self.messages)
        places = {name: match.start() for name in names if (match := re.search(rf"\b{re.escape(name)}\b", text))}
        return sorted(names, key=lambda name: places.get(name, len(text)))

    @cached_property
    def plain(self) -> bool:
        """Its templates only name variables: rendering it takes no more than its length says."""
        return not any(_COSTLY.search(message.content) for message in self.messages)

    @property
    def text(self) -> str:
        """What its messages say that instruct, as templates."""
        return "\n\n".join(message.content.strip() for message in self.messages if message.role == "system")


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One version of a prompt."""

    name: str
    version: int
    spec: PromptSpec

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"


def reference(text: str, field: str = "prompt") -> tuple[str, int]:
    """The name and the version of "name" or "name@version", 0 for the latest. Raises InvalidArgument."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            f"{text[:100]!r} is no prompt: write its name, of a-z, 0-9, '-' and '_', or NAME@VERSION", field=field
        )
    return match[1], int(match[2] or 0)


def digest(spec: PromptSpec) -> str:
    """SHA-256 of what the prompt means, in hexadecimal."""
    meaning = spec.model_dump(mode="json")
    # In which order variables are declared changes nothing.
    return hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()


@lru_cache(256)
def parse(text: str) -> PromptSpec:
    """The prompt in a YAML text, its templates compiled and tried: seconds of work at worst. Raises BadPrompt."""
    source = _read(text)
    problems: list[Problem] = []
    try:
        spec = PromptSpec.model_validate(source.data)
    except ValidationError as error:
        raise BadPrompt(source.problems(error, {}, PromptSpec)[:_MOST_PROBLEMS]) from error
    sample = {name: variable.sample for name, variable in spec.variables.items()}
    with budgeted():
        for place, message in enumerate(spec.messages):
            problems += _faults(message, sample, ("messages", place, "content"), source)
    if problems:
        raise BadPrompt(problems[:_MOST_PROBLEMS])
    return spec


def _read(text: str) -> YamlDocument:
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise BadPrompt([Problem("", f"a prompt has at most {LARGEST >> 10} KiB")])
    try:
        source = strict_yaml.read(text)
    except BadYaml as error:
        raise BadPrompt(error.problems) from error
    if not isinstance(source.data, dict):
        raise BadPrompt([Problem("", "a prompt is a mapping, such as `name: greeter`", 1)])
    return source


def _faults(
    message: PromptMessage, sample: Mapping[str, Any], path: tuple[str | int, ...], source: YamlDocument
) -> list[Problem]:
    """What is wrong with a message's template."""
    declared = f"the variables are {', '.join(sample)}" if sample else "there are no variables"
    try:
        unknown = sorted(message.template.names - sample.keys())
        if unknown:
            what = f"the template names {unknown[0]!r}, which is not declared under variables; {declared}"
            return [Problem(dotted(path), what, source.line(path))]
        message.template.render(sample)
    except BadTemplate as error:
        line = source.line(path) + max(error.line, 1) - 1
        return [Problem(dotted(path), f"the template is broken: {error.message}", line)]
    return []
