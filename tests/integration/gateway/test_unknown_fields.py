"""What is misspelt to the admin API is refused: what it was to say would go unsaid."""

import json

import pytest

from tests.fakes.http_calls import Refused
from tests.integration.gateway.conftest import MakeGateway


@pytest.mark.parametrize(
    ("verb", "path", "body", "message"),
    [
        ("POST", "limits", {"streams": "2", "requests": "5"}, "no field 'requests'; did you mean requests_per_minute?"),
        ("POST", "limits", {"stream": 1}, "no field 'stream'; did you mean streams?"),
        ("POST", "keys", {"principal": "p", "scope": ["a.b:c"]}, "no field 'scope'; did you mean scopes?"),
        ("POST", "keys", {"zzz": None}, "no field 'zzz'; there are "),
        ("GET", "usage:sum?bye=day", None, "no field 'bye'"),
        ("DELETE", "guards?agents=rag", None, "no field 'agents'; did you mean agent?"),
    ],
)
async def test_an_unknown_field(
    make_gateway: MakeGateway, verb: str, path: str, body: dict[str, object] | None, message: str
) -> None:
    gateway = await make_gateway()
    data = None if body is None else json.dumps(body).encode()
    with pytest.raises(Refused) as caught:
        await gateway.ask(verb, f"/v1/admin/{path}", data).whole()
    assert (caught.value.status, message in caught.value.error["message"]) == (400, True), caught.value.error
    limits = json.loads((await gateway.ask("GET", "/v1/admin/limits").whole()).data)["limits"]
    assert limits == []


async def test_other_spellings_of_a_field_are_known(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    made = await gateway.ask("POST", "/v1/admin/limits", b'{"requestsPerMinute": 5, "model": "m"}').whole()
    assert json.loads(made.data)["limit"]["requests_per_minute"] == "5"
