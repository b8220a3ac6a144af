"""A policy: which guards, where, and what they do."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.guard.specs import AnyGuard
from services.runtime import strict_yaml
from services.runtime.errors import InvalidArgument
from services.runtime.strict_yaml import BadYaml

LONGEST_SPEC = 256 * 1024
SHIPPED = Path(__file__).with_name("default.yaml")


class Policy(BaseModel):
    """The guards of a tenant, or of one of its agents."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    guards: tuple[AnyGuard, ...] = Field((), max_length=32)


def parse(spec: str) -> Policy:
    """A policy from YAML or JSON. Raises InvalidArgument, which says what is wrong and where."""
    if len(spec) > LONGEST_SPEC:
        raise InvalidArgument(f"a policy has at most {LONGEST_SPEC} characters")
    try:
        return Policy.model_validate(strict_yaml.read(spec).data or {})
    except BadYaml as error:
        raise InvalidArgument(f"the policy is wrong: {str(error.problems[0])[:300]}") from error
    except ValidationError as error:
        raise InvalidArgument(f"the policy is wrong: {_first(error)}") from error


def read(path: Path | None) -> Policy:
    """The policy of tenants that have none: a file's, or the shipped one. Raises InvalidArgument, which names the file,
    and OSError."""
    file = path or SHIPPED
    try:
        return parse(file.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{file} is not valid UTF-8") from error
    except InvalidArgument as error:
        raise InvalidArgument(f"{file}: {error.message}") from error


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']}" if place else found["msg"]
