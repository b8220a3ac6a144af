"""What can be wrong with an agent."""

from services.runtime.errors import DomainError, ErrorKind, PermissionDenied
from services.runtime.strict_yaml import Problem


class BadAgent(DomainError):
    """A spec that is not valid; the message names every problem that was found."""

    kind = ErrorKind.INVALID_ARGUMENT
    reason = "BAD_AGENT"

    def __init__(self, problems: list[Problem]) -> None:
        first = problems[0]
        super().__init__("; ".join(map(str, problems)), field=first.field, line=str(first.line))
        self.problems = problems


class AgentNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "AGENT_NOT_FOUND"

    def __init__(self, name: str, version: int = 0) -> None:
        which = f"version {version} of the agent {name!r}" if version else f"agent {name!r}"
        super().__init__(f"there is no {which}", agent=name, version=str(version))


class MayNotGive(PermissionDenied):
    """The agent would do for others what its author may not. `what` it is that needs the permission."""

    def __init__(self, agent: str, permission: str, what: str) -> None:
        super().__init__(
            f"the permission {permission} is missing, which the agent {agent!r} needs for {what}", permission=permission
        )


class FilterUnresolved(PermissionDenied):
    """The agent's filter names something of the caller that the caller does not have."""

    reason = "FILTER_UNRESOLVED"

    def __init__(self, agent: str, field: str, why: str) -> None:
        super().__init__(
            f"the agent {agent!r} reads only documents by what is known of its caller, and the part of its filter for "
            f"{field!r} has no value for this one: {why}",
            agent=agent,
            field=field,
        )


class ShippedAgent(DomainError):
    kind = ErrorKind.FAILED_PRECONDITION
    reason = "SHIPPED_AGENT"

    def __init__(self, name: str) -> None:
        super().__init__(f"the agent {name!r} comes with Headworks and cannot be deleted", agent=name)


class ModelUnavailable(DomainError):
    """The agent cannot run now, because of its model."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "MODEL_UNAVAILABLE"


class PromptUnavailable(DomainError):
    """The agent cannot run now, because of the prompt that its instructions are."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "PROMPT_UNAVAILABLE"

    def __init__(self, agent: str, why: str) -> None:
        super().__init__(f"the agent {agent!r} cannot run: {why}", agent=agent)


class OutputInvalid(DomainError):
    """The model did not write what the response format asks for, not even when told what was wrong."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "OUTPUT_INVALID"
