"""What is made of an issuer's key set, whatever it says."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.oidc.keys import ASYMMETRIC, MOST_KEYS, parse
from tests.fakes.issuer import FakeIssuer

GOOD = FakeIssuer("ES256", "RS256", "EdDSA").jwks()["keys"]
value_of = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=3), max_size=2),
    st.sampled_from(["AQAB", "RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "RS256", "HS256", "sig", "enc", ""]),
)  # fmt: skip
entry_of = st.builds(
    lambda good, changes: {**good, **changes},
    st.sampled_from(GOOD),
    st.dictionaries(
        st.sampled_from(["kty", "crv", "alg", "use", "kid", "x", "y", "n", "e", "d"]), value_of, max_size=3
    ),
)


@given(st.lists(entry_of | value_of, max_size=4))
def test_only_keys_for_signatures_are_taken(entries: list[Any]) -> None:
    with suppress(ValueError):
        for key in parse({"keys": entries}).values():
            assert key.algorithms
            assert key.algorithms <= ASYMMETRIC
            assert not hasattr(key.public, "sign")


@pytest.mark.parametrize(("named", "count"), [("RS512", 1), (None, 6)])
def test_an_rsa_key_is_for_what_it_says_or_for_all_of_its_kind(named: str | None, count: int) -> None:
    [rsa] = [one for one in GOOD if one["kty"] == "RSA"]
    changed = {name: value for name, value in rsa.items() if name != "alg"} | ({"alg": named} if named else {})
    [key] = parse({"keys": [changed]}).values()
    assert len(key.algorithms) == count


def test_there_are_not_too_many() -> None:
    many = [{**GOOD[0], "kid": f"{number}"} for number in range(MOST_KEYS * 2)]
    assert len(parse({"keys": many})) == MOST_KEYS
