"""What a call further down inherits."""

import time

import pytest

from services.runtime.call import REQUEST_ID_KEY, Call, outgoing
from services.runtime.errors import DeadlineExceeded
from services.runtime.identity import IDENTITY_KEY, Identity


def call(seconds: float, token: str = "") -> Call:
    return Call("/test.Service/Do", request_id="req_1", deadline=time.monotonic() + seconds, token=token)


@pytest.mark.parametrize(("limit", "left", "expected"), [(5, 60, 5), (60, 5, 5)])
def test_the_sooner_of_limit_and_deadline(limit: float, left: float, expected: float) -> None:
    assert outgoing(limit, call(left))["timeout"] == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("limit", "left"), [(5, 0), (5, -1), (0, 5)])
def test_nothing_is_called_when_no_time_is_left(limit: float, left: float) -> None:
    with pytest.raises(DeadlineExceeded):
        outgoing(limit, call(left))


@pytest.mark.parametrize("token", ["", "signed"])
def test_identity_and_request_id_go_along(token: str) -> None:
    metadata = dict(outgoing(1, call(1, token))["metadata"])
    assert metadata.get(IDENTITY_KEY, "") == token
    assert metadata[REQUEST_ID_KEY] == "req_1"


def test_outside_of_a_call_there_is_nothing_to_inherit() -> None:
    with pytest.raises(LookupError):
        outgoing(1)


def test_the_tenant_is_that_of_the_identity() -> None:
    known = Call("/test.Service/Do", identity=Identity("acme", "ann"))
    assert known.tenant == "acme"
    with pytest.raises(LookupError, match="without an identity"):
        _ = call(1).tenant
