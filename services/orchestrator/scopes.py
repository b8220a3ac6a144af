"""The identity of what runs call, and of calls that follow them."""

from services.orchestrator.run_identity import LONGEST_SUBJECT, CallIdentity, TokenExchange
from services.orchestrator.runs.access import Verb, Viewer
from services.orchestrator.runs.identity import RunIdentity
from services.orchestrator.runs.records import Left
from services.runtime.call import Call, new_request_id
from services.runtime.errors import Unauthenticated
from services.runtime.identity import REFRESH_KEY, Identity
from services.runtime.permissions import allows

METHOD = "/headworks.orchestrator.v1.OrchestratorService/Run"


def subject_of(call: Call) -> str:
    """The caller, by name, as far as the record has room for it."""
    return call.identity.subject[:LONGEST_SUBJECT] if call.identity else ""


def viewer_of(call: Call, area: str, verb: Verb, run_id: str = "") -> Viewer:
    """What the caller sees of "runs" or "sessions", to read or to write them. Who may decide the run, or any, sees the
    runs that wait."""
    scopes = call.identity.scopes if call.identity else frozenset()
    decides = area == "runs" and verb is Verb.READ and allows(scopes, f"runs.decide:{run_id or '*'}")
    return Viewer(call.tenant, subject_of(call), allows(scopes, f"{area}.others:{verb}"), decides)


class Identities:
    """Makes them. `patience`: how long the gateway is asked for a token where none is left that is good."""

    def __init__(self, exchange: TokenExchange, patience: float) -> None:
        self._exchange = exchange
        self._patience = patience

    def of(self, call: Call) -> CallIdentity:
        """That of a call from the gateway, which outlives its token where a refresh token came with it."""
        return CallIdentity(call, call.metadata.get(REFRESH_KEY, ""), self._exchange, self._patience)

    def of_left(self, left: Left) -> RunIdentity:
        """That of a run which another process began. It has no token yet. Raises Unauthenticated where it was left
        without what one can be had by."""
        if not left.refresh_token:
            raise Unauthenticated("its process died, and it came without what its identity could be renewed by")
        whose = Identity(left.info.tenant, left.info.subject)
        call = Call(METHOD, request_id=new_request_id(), identity=whose)
        return CallIdentity(call, left.refresh_token, self._exchange, self._patience)
