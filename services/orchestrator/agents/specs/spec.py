"""An agent's spec: what may stand in its YAML, with the defaults."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.llm.sampling_form import SamplingFields
from services.runtime.labels import field_of, value_of
from services.runtime.templates.template import Template

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
EMBEDDINGS = "embeddings"
"""The judge that is no model."""
Collection = Annotated[str, Field(pattern=NAME)]


class SpecPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def _fields(given: object) -> object:
    """A filter's keys as fields: `department` is a label's."""
    return {field_of(str(key)): value for key, value in given.items()} if isinstance(given, dict) else given


def _values(given: object) -> object:
    """One value, or a list of them, as texts."""
    values = given if isinstance(given, list) else [given]
    return [value if isinstance(value, list | dict) else value_of(value) or "" for value in values]


FilterValues = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=1024)], ...], BeforeValidator(_values),
    Field(min_length=1, max_length=64),
]  # fmt: skip


class Retrieval(SpecPart):
    """`mode`: "always" searches with the question before the model is asked, "tool" gives the model the tool `search`.
    `required`: without a passage the agent says that it found nothing and does not ask the model. `filter`: by field,
    templates of the values of which a document must have one. `rerank`: how many of the best passages found are
    reranked, by a reranker that the mesh serves. `passage_tokens`: of passages that have more in all, a language model
    reads the sentences that have most of an answer."""

    mode: Literal["always", "tool", "never"] = "never"
    collections: tuple[Collection, ...] = Field(("default",), min_length=1, max_length=8)
    max_passages: int = Field(3, ge=1, le=20)
    passage_tokens: int | None = Field(None, ge=50, le=1_000_000)
    max_sentences: int = Field(2, ge=1, le=10)
    rerank: int = Field(0, ge=0, le=100)
    caller_may_choose: bool = True
    required: bool = False
    citations: bool = True
    filter: Annotated[dict[str, FilterValues], BeforeValidator(_fields)] = Field(default_factory=dict, max_length=8)

    @cached_property
    def filter_templates(self) -> Mapping[str, tuple[Template, ...]]:
        """The filter, compiled. Raises BadTemplate."""
        return {field: tuple(map(Template, texts)) for field, texts in self.filter.items()}


class Output(SpecPart):
    """`schema`: the JSON schema of every answer, where the caller asks for no form of its own. `repair`: how often the
    model is told what is wrong with its answer."""

    schema_: dict[str, Any] | None = Field(None, alias="schema")
    name: str = Field("answer", pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    repair: int = Field(1, ge=0, le=1)


class RunLimits(SpecPart):
    """What a run may use up; None is no limit of its own. `steps`: times that the model is asked. `seconds`: without
    those spent waiting for a person. `cost`: in the catalogue's currency. `calls`: by tool. `repetitions`: the same
    call with the same result, this many times."""

    steps: int = Field(8, ge=1, le=100)
    seconds: float | None = Field(600, gt=0, le=86_400)
    tokens: int | None = Field(None, ge=1)
    cost: float | None = Field(None, gt=0)
    tool_calls: int = Field(20, ge=0, le=1000)
    calls: dict[str, Annotated[int, Field(ge=0, le=1000)]] = Field(default_factory=dict)
    repetitions: int = Field(3, ge=2, le=100)
    parallel_tools: int = Field(4, ge=1, le=64)


class Approval(SpecPart):
    """What a person must approve. `answer_below`: an answer that the model is less sure of, 0 to 1. `expires`: seconds
    until the answer is no; None waits for ever. `tools`: these, beside those whose own setting says so."""

    run: bool = False
    answer_below: float | None = Field(None, gt=0, le=1)
    expires: float | None = Field(86_400, gt=0)
    tools: tuple[str, ...] = ()


def _summary(given: object) -> object:
    """One message for what is neither."""
    if given not in (True, False, "extract"):
        raise ValueError("must be true, false or extract")
    return given


class MemorySpec(SpecPart):
    """How much of a session the model reads. `summary`: what is beyond is summed up by the model, or, with "extract",
    in sentences of its own, rather than left out."""

    window_tokens: int = Field(2000, ge=100)
    summary: Annotated[bool | Literal["extract"], BeforeValidator(_summary)] = True


class SamplingSpec(SamplingFields, SpecPart):
    pass


class GraderSpec(SpecPart):
    """`judge`: the model that judges; empty for the agent's own where it is a language model, "embeddings" for none."""

    grader: Literal["grounded", "answers", "schema"]
    threshold: float | None = Field(None, ge=0, le=1)
    judge: str = ""


GuardStage = Literal["input", "context", "output"]


class PromptReference(SpecPart):
    """A prompt of the tenant's in place of instructions: "name" for its latest version, or "name@version". Texts among
    the values of its `variables` are templates of the agent's own."""

    prompt: str = Field(pattern=rf"{NAME[:-1]}(@[1-9][0-9]{{0,8}})?$")
    variables: dict[str, Any] = Field(default_factory=dict, max_length=64)

    @cached_property
    def templates(self) -> Mapping[str, Any]:
        """The values, with texts compiled. Raises BadTemplate."""
        return {name: Template(value) if isinstance(value, str) else value for name, value in self.variables.items()}

    def values(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """The values, where `known` is what the agent's templates may name. Raises BadTemplate."""
        given = self.templates.items()
        return {name: value.render(known) if isinstance(value, Template) else value for name, value in given}


def _stages(given: object) -> object:
    """`input`, `both` for input and output, or a list of stages."""
    return ("input", "output") if given == "both" else (given,) if isinstance(given, str) else given


class GuardWish(BaseModel):
    """A guard that the agent asks for, in the form of the gateway's policies; its other settings are for the gateway
    to check. In force is the policy that the gateway has for the agent."""

    model_config = ConfigDict(frozen=True, extra="allow")

    guard: Literal["pii", "terms", "injection", "secrets", "system_prompt", "links", "length"]
    stage: Annotated[tuple[GuardStage, ...], BeforeValidator(_stages)] = Field((), max_length=3)
    action: Literal["block", "redact", "flag"] = "flag"
    mode: Literal["enforce", "shadow"] = "enforce"


def _grader(given: object) -> object:
    """`answers` or `{grounded: {threshold: 0.6}}` as a GraderSpec's fields."""
    if isinstance(given, str):
        return {"grader": given}
    if isinstance(given, dict) and len(given) == 1 and "grader" not in given:
        ((name, settings),) = given.items()
        if settings is None or isinstance(settings, dict):
            return {"grader": name, **(settings or {})}
    return given


class AgentSpec(SpecPart):
    """An agent."""

    name: str = Field(pattern=NAME)
    description: str = Field("", max_length=1000)
    model: str = Field("default", min_length=1, max_length=128)
    instructions: str | PromptReference = ""
    prompt: str = ""
    retrieval: Retrieval = Retrieval()
    tools: tuple[Any, ...] = Field((), max_length=64)
    tool_choice: str = Field("auto", pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    output: Output = Output()
    limits: RunLimits = RunLimits()
    approval: Approval = Approval()
    graders: tuple[Annotated[GraderSpec, BeforeValidator(_grader)], ...] = Field((), max_length=8)
    memory: MemorySpec = MemorySpec()
    sampling: SamplingSpec = SamplingSpec()
    guards: tuple[GuardWish, ...] = Field((), max_length=32)
    a2a: bool = False

    @model_validator(mode="after")
    def _graders_once(self) -> "AgentSpec":
        names = [each.grader for each in self.graders]
        if len(set(names)) < len(names):
            raise ValueError("graders: one of them is there twice")
        return self

    @cached_property
    def instructions_template(self) -> Template:
        """Empty where a prompt stands in their place. Raises BadTemplate."""
        return Template(self.instructions.strip() if isinstance(self.instructions, str) else "")

    @property
    def named_prompt(self) -> PromptReference | None:
        """The prompt that stands in the place of its instructions, if one does."""
        return self.instructions if isinstance(self.instructions, PromptReference) else None

    @cached_property
    def prompt_template(self) -> Template | None:
        """None where the spec has no prompt of its own. Raises BadTemplate."""
        text = self.prompt.strip()
        return Template(text) if text else None

    def compile(self) -> None:
        """Have the templates compiled before a run needs them. Raises BadTemplate."""
        _ = self.instructions_template, self.prompt_template, self.retrieval.filter_templates
        if self.named_prompt is not None:
            _ = self.named_prompt.templates

    @property
    def tool_entries(self) -> tuple[Any, ...]:
        """The tools, with those that are there without being listed."""
        return with_search(self.tools, self.retrieval.mode)

    @property
    def read_collections(self) -> tuple[str, ...]:
        """The collections that the agent reads for whoever may call it; one that a caller chooses is not among them."""
        reads = self.retrieval.mode == "always" or _has_search(self.tool_entries)
        return tuple(dict.fromkeys(self.retrieval.collections)) if reads else ()


def with_search(tools: Sequence[Any], mode: object) -> tuple[Any, ...]:
    """The tools of a spec; one that retrieves by tool has `search` without listing it."""
    return tuple(tools) if mode != "tool" or _has_search(tools) else ("search", *tools)


def _has_search(tools: Sequence[Any]) -> bool:
    return any(entry == "search" or (isinstance(entry, dict) and entry.get("tool") == "search") for entry in tools)
