"""The identity and the deadline of what runs call."""

from dataclasses import replace

from services.orchestrator.runs.execution import Scope
from services.orchestrator.runs.executor import Identify
from services.runtime.call import Call, enter, new_request_id
from services.runtime.identity import TokenVerifier

LONGEST_SUBJECT = 256
METHOD = "/headworks.orchestrator.v1.OrchestratorService/Run"


def scope_of(call: Call) -> Scope:
    """What the run calls, it calls as the run's own caller."""
    return lambda deadline: enter(replace(call, deadline=deadline))


def subject_of(call: Call) -> str:
    """The caller, by name, as far as the record has room for it."""
    return call.identity.subject[:LONGEST_SUBJECT] if call.identity else ""


def identify(verifier: TokenVerifier) -> Identify:
    """For runs that another process began: the identity they were started under, if that is still good."""

    def scope(token: str) -> Scope:
        return scope_of(Call(METHOD, request_id=new_request_id(), identity=verifier.verify(token), token=token))

    return scope
