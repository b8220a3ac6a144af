"""Who calls, by the call's identity."""

from services.retrieval.files.model import Owner
from services.retrieval.model import Caller
from services.runtime.call import current
from services.runtime.permissions import allows

SEES_ALL = "documents.others:read"
READ, WRITE = "read", "write"


def caller() -> Caller:
    """Who asks for documents."""
    call = current()
    identity = call.identity
    if identity is None or allows(identity.scopes, SEES_ALL):
        return Caller(call.tenant, None)
    return Caller(identity.tenant, identity.groups)


def owner(verb: str) -> Owner:
    """Who asks for files, to READ or to WRITE them."""
    call = current()
    identity = call.identity
    if identity is None:
        return Owner(call.tenant, "")
    return Owner(identity.tenant, identity.subject, allows(identity.scopes, f"files.others:{verb}"))
