"""The caller of the call being served, as agents know it."""

from services.orchestrator.domain.caller import Caller
from services.runtime.call import current_or_none


def present_caller() -> Caller:
    """Nobody outside of a call."""
    call = current_or_none()
    identity = call.identity if call is not None else None
    if identity is None:
        return Caller()
    return Caller(identity.tenant, identity.subject, identity.project, dict(identity.claims))
