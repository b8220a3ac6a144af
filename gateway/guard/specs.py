"""The form of each guard in a policy."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from gateway.guard import secrets
from gateway.guard.custom import LONGEST_PATTERN, Custom
from gateway.guard.finding import Action, Mode, Stage
from gateway.guard.personal import detector as personal
from gateway.guard.terms.lists import NAME

MOST_REGIONS = 8
_CATEGORY = r"^[A-Z][A-Z0-9_]{0,31}$"


def _stages(given: object) -> object:
    """`input`, `both` for input and output, or a list of stages."""
    if given == "both":
        return {Stage.INPUT, Stage.OUTPUT}
    return {given} if isinstance(given, str) else given


Stages = Annotated[
    frozenset[Stage], BeforeValidator(_stages), PlainSerializer(lambda stages: sorted(stages)), Field(min_length=1)
]


class GuardSpec(BaseModel):
    """What all guards have. `action`: what is done about a finding. `mode`: shadow only says what would be done."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    guard: str
    stage: Stages
    action: Action = Action.FLAG
    mode: Mode = Mode.ENFORCE

    stages: ClassVar[frozenset[Stage]] = frozenset(Stage)
    actions: ClassVar[frozenset[Action]] = frozenset(Action)

    @property
    def acts(self) -> bool:
        """Whether text is changed or stopped because of what it finds."""
        return self.mode is Mode.ENFORCE and self.action is not Action.FLAG

    @model_validator(mode="after")
    def _possible(self) -> "GuardSpec":
        if wrong := self.stage - self.stages:
            raise ValueError(f"the guard {self.guard} has no stage {min(wrong)}")
        if self.action not in self.actions:
            raise ValueError(f"the guard {self.guard} cannot {self.action}")
        return self


class PersonalSpec(GuardSpec):
    """`regions`: the countries whose telephone numbers are known without a country code. `restore`: what was replaced
    on the way in is put back on the way out. `patterns`: kinds of the operator's own, by name, in RE2's form."""

    guard: Literal["pii"]
    categories: tuple[Literal[personal.CATEGORIES], ...] = personal.CATEGORIES  # type: ignore[valid-type]
    regions: tuple[Annotated[str, Field(pattern="^[A-Z]{2}$")], ...] = ("US", "CN")
    restore: bool = False
    patterns: dict[Annotated[str, Field(pattern=_CATEGORY)], Annotated[str, Field(max_length=LONGEST_PATTERN)]] = Field(
        default_factory=dict, max_length=16
    )

    @field_validator("regions")
    @classmethod
    def _few(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if len(given) > MOST_REGIONS:
            raise ValueError(f"at most {MOST_REGIONS} countries, and these are {len(given)}")
        return given

    @field_validator("patterns")
    @classmethod
    def _compiles(cls, given: Mapping[str, str]) -> Mapping[str, str]:
        Custom(given)
        return given


class SecretsSpec(GuardSpec):
    guard: Literal["secrets"]
    categories: tuple[Literal[secrets.CATEGORIES], ...] = secrets.CATEGORIES  # type: ignore[valid-type]


class TermsSpec(GuardSpec):
    """`lists`: files of terms. `topics`: those of their topics that count; empty for all. `terms`: more of them.
    `disguised`: also those whose letters are drawn apart."""

    guard: Literal["terms"]
    lists: tuple[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], ...] = Field((), max_length=16)
    topics: tuple[Annotated[str, Field(max_length=64)], ...] = Field((), max_length=64)
    terms: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field((), max_length=1000)
    disguised: bool = True

    @model_validator(mode="after")
    def _some(self) -> "TermsSpec":
        if not self.lists and not self.terms:
            raise ValueError("terms: neither lists nor terms")
        return self


class InjectionSpec(GuardSpec):
    """`threshold`: the score from which a text counts. `when_gone`: what happens where nothing can judge."""

    guard: Literal["injection"]
    threshold: float = Field(0.5, gt=0, le=1)
    when_gone: Literal["open", "closed"] = "open"

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.INPUT, Stage.CONTEXT})


class SystemPromptSpec(GuardSpec):
    """`words`: how many words of the instructions in a row are a leak."""

    guard: Literal["system_prompt"]
    stage: Stages = frozenset({Stage.OUTPUT})
    words: int = Field(8, ge=3, le=64)

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.OUTPUT})


class LinksSpec(GuardSpec):
    """`allowed`: hosts; what is under them is allowed too."""

    guard: Literal["links"]
    stage: Stages = frozenset({Stage.OUTPUT})
    allowed: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")], ...] = Field((), max_length=1000)

    stages: ClassVar[frozenset[Stage]] = frozenset({Stage.OUTPUT, Stage.CONTEXT})


class LengthSpec(GuardSpec):
    """`characters`: the most that a text may have."""

    guard: Literal["length"]
    stage: Stages = frozenset({Stage.OUTPUT})
    action: Action = Action.BLOCK
    characters: int = Field(gt=0, le=10_000_000)

    actions: ClassVar[frozenset[Action]] = frozenset({Action.FLAG, Action.BLOCK})


AnyGuard = Annotated[
    PersonalSpec | SecretsSpec | TermsSpec | InjectionSpec | SystemPromptSpec | LinksSpec | LengthSpec,
    Field(discriminator="guard"),
]
Fields = dict[str, Any]
