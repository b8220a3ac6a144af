"""A policy of the cache: whose answers are kept, for how long, who shares them and what a hit costs."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from services.runtime import strict_yaml
from services.runtime.errors import InvalidArgument
from services.runtime.strict_yaml import BadYaml

LONGEST_SPEC = 16 * 1024
MOST_SECONDS = 30 * 86_400
SHARED_BY = ("groups", "user", "key")
# What others call sharing over tenants, or over the groups of one.
_CROSSING = frozenset(("tenant", "tenants", "across_tenants", "global", "share", "shared", "scope"))


class CachePart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ExactPolicy(CachePart):
    """Answers to equal questions. `wait_seconds`: how long an equal call waits for the one that is under way."""

    ttl_seconds: float = Field(3600, gt=0, le=MOST_SECONDS)
    wait_seconds: float = Field(30, ge=0, le=600)


class SemanticPolicy(CachePart):
    """Answers to questions that mean the same. `error_budget`: the share of them that may be wrong. `explore`: how
    often the model is asked all the same, to see whether the answer would have been right. `min_similarity`: the cosine
    below which questions are not looked at."""

    error_budget: float = Field(0.02, gt=0, le=0.5)
    explore: float = Field(0.05, ge=0, le=1)
    min_similarity: float = Field(0.7, ge=0, le=1)


class CachePolicy(CachePart):
    """`shared_by`: who gets each other's answers within a tenant: callers with the same access groups, one user, or one
    key. `charge`: the part of its price that a hit costs. `semantic`: None for equal questions only."""

    enabled: bool = True
    shared_by: Literal["groups", "user", "key"] = "groups"
    charge: float = Field(0, ge=0, le=1)
    exact: ExactPolicy = ExactPolicy()
    semantic: SemanticPolicy | None = None

    @model_validator(mode="before")
    @classmethod
    def _within_a_tenant(cls, given: Any) -> Any:
        """Raises ValueError, which says it plainly, for what would give a tenant's answers to others."""
        if isinstance(given, dict) and (crossing := sorted(_CROSSING & given.keys())):
            raise ValueError(f"{crossing[0]}: {WITHIN}")
        return given

    @field_validator("shared_by", mode="before")
    @classmethod
    def _shared(cls, given: Any) -> Any:
        if given not in SHARED_BY:
            raise ValueError(WITHIN)
        return given


WITHIN = (
    "a cache never gives an answer to another tenant, nor to callers with other access groups; within a tenant "
    f"shared_by may be {', '.join(SHARED_BY[:-1])} or {SHARED_BY[-1]}"
)


def parse(spec: str) -> CachePolicy:
    """A policy from YAML or JSON. Raises InvalidArgument, which says what is wrong and where."""
    if len(spec) > LONGEST_SPEC:
        raise InvalidArgument(f"a policy has at most {LONGEST_SPEC} characters")
    try:
        return CachePolicy.model_validate(strict_yaml.read(spec).data or {})
    except BadYaml as error:
        raise InvalidArgument(f"the policy is wrong: {str(error.problems[0])[:300]}") from error
    except ValidationError as error:
        raise InvalidArgument(f"the policy is wrong: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    said = found["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else said
