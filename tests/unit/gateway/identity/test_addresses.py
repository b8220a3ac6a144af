"""Where callers come from, and how many failed authentications they have."""

import pytest

from gateway.identity.addresses import EDGE_KEY, CallerAddresses, FailedAuthenticationLimiter, address_of
from gateway.identity.errors import TooManyAttempts
from services.runtime.call import Call
from tests.fakes.serving import until


@pytest.mark.parametrize(
    ("forwarded", "proxies", "peer", "address"),
    [
        ("", 1, "ipv4:10.0.0.9:5000", "10.0.0.9"),
        ("9.9.9.9", 1, "ipv4:10.0.0.9:5000", "9.9.9.9"),
        ("1.1.1.1, 9.9.9.9", 1, "ipv4:10.0.0.9:5000", "9.9.9.9"),
        ("1.1.1.1,9.9.9.9", 2, "ipv4:10.0.0.9:5000", "1.1.1.1"),
        ("6.6.6.6, 1.1.1.1, 9.9.9.9", 2, "ipv4:10.0.0.9:5000", "1.1.1.1"),
        ("9.9.9.9", 2, "ipv4:10.0.0.9:5000", "10.0.0.9"),
        ("9.9.9.9", 0, "ipv4:10.0.0.9:5000", "10.0.0.9"),
        ("", 0, "ipv6:%5B2001:db8::7%5D:5000", "2001:db8::/64"),
        ("", 0, "ipv6:[2001:db8::7]:5000", "2001:db8::/64"),
        ("2001:db8:0:0:1::7", 1, "", "2001:db8::/64"),
        ("2001:db8:0:1::7", 1, "", "2001:db8:0:1::/64"),
        ("::ffff:9.9.9.9", 1, "", "9.9.9.9"),
        ("", 1, "unix:/tmp/x", "unix:/tmp/x"),
        ("x" * 5_000, 1, "", "x" * 64),
        (" , ", 1, "ipv4:10.0.0.9:5000", "10.0.0.9"),
    ],
)
def test_addresses(forwarded: str, proxies: int, peer: str, address: str) -> None:
    assert address_of(Call("/x", {"x-forwarded-for": forwarded}, peer=peer), proxies) == address


@pytest.mark.parametrize(
    ("token", "given", "address"),
    [
        ("t" * 32, "t" * 32, "9.9.9.9"), ("t" * 32, "", "10.0.0.9"), ("t" * 32, "t" * 31, "10.0.0.9"),
        ("t" * 32, "é" * 32, "10.0.0.9"), ("", "", "9.9.9.9"), ("", "anything", "9.9.9.9"),
    ],
)  # fmt: skip
def test_only_the_edge_is_believed(token: str, given: str, address: str) -> None:
    metadata = {"x-forwarded-for": "9.9.9.9"} | ({EDGE_KEY: given} if given else {})
    call = Call("/x", metadata, peer="ipv4:10.0.0.9:5000")
    assert CallerAddresses(1, token).of(call) == address


async def test_attempts_run_out_and_come_back() -> None:
    limiter = FailedAuthenticationLimiter(per_second=20, burst=3)
    for _ in range(3):
        limiter.take("a")
    with pytest.raises(TooManyAttempts) as caught:
        limiter.take("a")
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 0.05
    limiter.take("b")

    def again() -> bool:
        try:
            limiter.take("a")
        except TooManyAttempts:
            return False
        return True

    await until(again, 60)


def test_what_succeeds_is_given_back() -> None:
    limiter = FailedAuthenticationLimiter(per_second=0.001, burst=2)
    for _ in range(100):
        limiter.take("a")
        limiter.give_back("a")
    limiter.give_back("b")
    limiter.take("a")
    limiter.take("a")
    with pytest.raises(TooManyAttempts):
        limiter.take("a")


def test_only_so_many_addresses_are_remembered() -> None:
    limiter = FailedAuthenticationLimiter(per_second=0.001, burst=1, most=10)
    for number in range(1_000):
        limiter.take(f"10.0.0.{number}")
    assert len(limiter._buckets) == 10
    with pytest.raises(TooManyAttempts):
        limiter.take("10.0.0.999")
