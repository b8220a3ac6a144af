"""The layer that knows the caller: what the call gets, and until when."""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import jwt
import pytest

from gateway.identity.addresses import CallerAddresses, FailedAuthenticationLimiter
from gateway.identity.authenticate import Authenticate
from gateway.identity.credentials import Credentials
from gateway.identity.errors import TooManyAttempts
from gateway.identity.keys import KeyRing
from gateway.identity.open_calls import OpenCalls
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import LIFETIME
from tests.fakes.identity import Keys

KEY = "hw_" + "a" * 40


PEER = "ipv4:10.0.0.9:5000"


def layer(keys: Keys, folder: Path, burst: int = 2) -> Authenticate:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    stored = {"id": "dev", "prefix": KEY[:11], "sha256": digest, "tenant": "acme", "subject": "ann", "scopes": ["*"]}
    (folder / "keys.json").write_text(json.dumps({"keys": [stored]}))
    callers = Credentials(KeyRing(folder / "keys.json"), limiter=FailedAuthenticationLimiter(0.001, burst))
    return Authenticate(callers, keys.signer, OpenCalls(callers), CallerAddresses(1).of)


async def nothing() -> None:
    """What is within the layer."""


async def called(
    authenticate: Authenticate, method: str = "/x/Y", seconds: float = 30, metadata: Mapping[str, str] | None = None
) -> Call:
    given = {"authorization": f"Bearer {KEY}"} if metadata is None else metadata
    call = Call(method, given, deadline=time.monotonic() + seconds, peer=PEER)
    await authenticate.around(call, nothing)
    return call


@pytest.mark.parametrize("seconds", [0.1, 59, 61, 120, 3_600, float("inf")])
@pytest.mark.parametrize("method", ["/x/Y", "/headworks.orchestrator.v1.OrchestratorService/Run"])
async def test_tokens_are_short_however_long_the_call_may_take(
    keys: Keys, tmp_path: Path, seconds: float, method: str
) -> None:
    call = await called(layer(keys, tmp_path), method, seconds=seconds)
    identity = keys.verifier.verify(call.token)
    assert identity == call.identity
    assert (identity.tenant, identity.subject, identity.key) == ("acme", "ann", "dev")
    left = jwt.decode(call.token, options={"verify_signature": False})["exp"] - time.time()
    assert LIFETIME / 2 <= left <= LIFETIME


async def test_calls_share_tokens(keys: Keys, tmp_path: Path) -> None:
    authenticate = layer(keys, tmp_path)
    tokens = {(await called(authenticate, seconds=100 + n / 10)).token for n in range(100)}
    assert len(tokens) == 1


async def test_strangers_are_told_to_come_back_later(keys: Keys, tmp_path: Path) -> None:
    authenticate = layer(keys, tmp_path)
    bad = {"authorization": "Bearer hw_x", "x-forwarded-for": "1.2.3.4, 9.9.9.9"}
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await called(authenticate, metadata=bad)
    with pytest.raises(TooManyAttempts) as caught:
        await called(authenticate, metadata={**bad, "x-forwarded-for": "5.6.7.8, 9.9.9.9"})
    assert (caught.value.retry_after or 0) > 0
    with pytest.raises(Unauthenticated):
        await called(authenticate, metadata={**bad, "x-forwarded-for": "9.9.9.9, 1.2.3.4"})
    await called(authenticate, metadata={"authorization": f"bearer {KEY} ", "x-forwarded-for": "9.9.9.9"})


@pytest.mark.parametrize(
    ("metadata", "known"),
    [
        ({"x-api-key": KEY}, True),
        ({"api-key": KEY}, True),
        ({"api-key": f"  {KEY} "}, True),
        ({"authorization": "", "x-api-key": KEY}, True),
        ({"authorization": "Basic dTpw", "api-key": KEY}, True),
        ({"authorization": f"Bearer {KEY}", "x-api-key": "sk-other"}, True),
        ({"authorization": "Bearer sk-other", "x-api-key": KEY}, False),  # what is said first is meant
        ({"x-api-key": ""}, False),
        ({"x-api-key": "sk-other"}, False),
        ({"authorization": KEY}, False),
    ],
    ids=repr,
)
async def test_headers_in_which_clients_send_keys(
    keys: Keys, tmp_path: Path, metadata: dict[str, str], known: bool
) -> None:
    with nullcontext() if known else pytest.raises(Unauthenticated):
        call = await called(layer(keys, tmp_path), metadata=metadata)
        assert call.identity is not None


@pytest.mark.parametrize("name", ["x-headworks-identity", "x-headworks-tenant", "x-headworks-key"])
async def test_headers_that_claim_an_identity_are_not_read(keys: Keys, tmp_path: Path, name: str) -> None:
    token = keys.signer.token(keys.verifier.verify((await called(layer(keys, tmp_path))).token))
    with pytest.raises(Unauthenticated, match="no API key"):
        await called(layer(keys, tmp_path), metadata={name: token})
    with pytest.raises(Unauthenticated):
        await called(layer(keys, tmp_path), metadata={"authorization": f"Bearer {token}"})
