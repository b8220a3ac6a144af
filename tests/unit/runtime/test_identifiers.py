"""Identifiers told from words and numbers."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.language.identifiers import LONGEST, identifiers, last_part, leading_parts, parts


def keys(text: str) -> list[str]:
    return [identifier.key for identifier in identifiers(text)]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Order WF-M5799 today", "wf-m5799"),
        ("WF‑M5799", "wf-m5799"),
        ("ＷＦ－Ｍ５７９９", "wf-m5799"),
        ("型号WF-M5799的价格", "wf-m5799"),
        ("(v1.2.3-rc.4)", "1.2.3-rc.4"),
        ("since 1.2.3.", "1.2.3"),
        ("v1.2", "1.2"),
        ("see CVE-2024-1234, please", "cve-2024-1234"),
        ("ERR_CONN_RESET", "err_conn_reset"),
        ("foo.bar_baz", "foo.bar_baz"),
        ("std::vector", "std::vector"),
        ("0x1F", "0x1f"),
        ("M5799DWF", "m5799dwf"),
        ("the --no-color option", "--no-color"),
        ("--force", "--force"),
        ("edit /etc/nginx/nginx.conf", "etc/nginx/nginx.conf"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("nginx.conf", "nginx.conf"),
        ("978-3-16-148410-0", "978-3-16-148410-0"),
        ("84719203", "84719203"),
    ],
)
def test_identifiers_are_found(text: str, key: str) -> None:
    assert keys(text) == [key]


@pytest.mark.parametrize(
    "text",
    [
        "the 20th century", "1990s", "a 19-year-old", "16th-century", "well-known", "and/or", "km/h", "3.14", "1,500",
        "10:30", "1939-1945", "1939–45", "2/3", "U.S.", "e.g. this", "Ph.D.", "5km", "3.5GB", "TCP/IP", "/srv",
        "key:value", "24/7", "end-to-end", "NASA", "-x", "--", "747", "x" * 500 + "1",
    ],
)  # fmt: skip
def test_words_and_numbers_are_none(text: str) -> None:
    assert keys(text) == []


@pytest.mark.parametrize(
    ("text", "specific"),
    [("WF-M5799", True), ("v1.2", True), ("0x1F", True), ("--force", True), ("MP3", False), ("UTF-8", False)],
)
def test_some_name_one_thing(text: str, specific: bool) -> None:
    assert [identifier.specific for identifier in identifiers(text)] == [specific]


def test_an_identifier_begins_with_its_parts() -> None:
    assert leading_parts("wf-m5799dwf") == ["wf-m", "wf-m5799"]
    assert leading_parts("1.2.3-rc.4") == ["1.2", "1.2.3", "1.2.3-rc"]


def test_an_identifier_is_joined_of_parts() -> None:
    assert parts("foo.bar_baz::x") == ["foo", "bar", "baz", "x"]
    assert last_part("etc/nginx/nginx.conf") == "nginx.conf"
    assert last_part("nginx.conf") == "nginx.conf"


@given(st.text(alphabet="aZ9._-/:v ", max_size=200))
def test_an_identifier_is_in_its_text(text: str) -> None:
    for key in keys(text):
        assert key in text.lower()
        assert len(key) <= LONGEST


@pytest.mark.parametrize("unit", ["a", "1", "a-", "a1.", "/", "--a", "_", "a:", "é"])
def test_identifiers_of_a_hostile_text_take_linear_time(unit: str) -> None:
    started = time.thread_time()
    identifiers(unit * 100_000)
    assert time.thread_time() - started < 2
