"""The gateway as a caller of the services behind it, for a tenant rather than for one of its callers."""

import time

from services.runtime.call import Call, Outgoing, new_request_id, outgoing
from services.runtime.identity import Identity, TokenSigner

SUBJECT = "headworks/privacy"
SCOPES = frozenset({"admin.data:write", "collections.read:*", "collections.write:*", "collections.delete:*"})


class OwnCalls:
    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer

    def options(self, tenant: str, seconds: float) -> Outgoing:
        """The keyword arguments of a stub's call that may take so long."""
        identity = Identity(tenant, SUBJECT, SCOPES)
        call = Call(
            "privacy", request_id=new_request_id(), identity=identity, token=self._signer.token(identity),
            deadline=time.monotonic() + seconds,
        )  # fmt: skip
        return outgoing(seconds, call)
