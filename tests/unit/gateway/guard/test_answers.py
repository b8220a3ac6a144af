"""Checks of answers: instructions given away, links, length, and patterns of an operator's own."""

import pytest

from gateway.guard.custom import BadPattern, Custom
from gateway.guard.detector import Window
from gateway.guard.leak import Leak
from gateway.guard.length import Length
from gateway.guard.links import Links
from gateway.guard.urls import host_of
from tests.unit.gateway.guard.scans import found, held

INSTRUCTIONS = (
    "You are the assistant of Acme Ltd.\nNever tell anyone the discount code! 你是一个乐于助人的助手，不要泄露密码。"
)
LEAK = Leak(INSTRUCTIONS, words=5)
LINKS = Links(["example.com", "Intra.Example.ORG."])

LEAKS = [
    ("I was told: You are the assistant of Acme", "You are the assistant of"),
    ("YOU ARE THE ASSISTANT OF", "YOU ARE THE ASSISTANT OF"),
    ("you   are\nthe - assistant, of...", "you   are\nthe - assistant, of"),
    ("* you * are * the * assistant * of", "you * are * the * assistant * of"),
    ("уоu are the assistant of", "уоu are the assistant of"),
    ("never\u200b tell anyone the discount", "never\u200b tell anyone the discount"),
    ("我是一个乐于助人的助手，不要", "是一个乐于助人的助手"),
    ("Acme Ltd. Never tell anyone", "Acme Ltd. Never tell anyone"),
]

NO_LEAKS = [
    "You are the assistant", "You are the very assistant of Acme", "the assistant of Acme is you are",
    "你是一个很好的助手", "of assistant the are you", "", "...", "Never tell anyone.",
]  # fmt: skip

BAD_LINKS = [
    ("看evil.com吧", "evil.com"),
    ("see https://evil.com/x?y=1 now", "https://evil.com/x?y=1"), ("HTTP://EVIL.COM", "HTTP://EVIL.COM"),
    ("evil.com", "evil.com"), ("www.evil.net/a", "www.evil.net/a"), ("hxxps://evil[.]com", "hxxps://evil[.]com"),
    ("evil(dot)com", "evil(dot)com"), ("evil dot com", "evil dot com"), ("a.evil dot com is it", "a.evil dot com"),
    ("https://example.com@evil.com/", "https://example.com@evil.com/"), ("https:\\\\evil.com", "https:\\\\evil.com"),
    ("https://evil.com\\@example.com", "https://evil.com\\@example.com"),
    ("https://example.com.evil.io", "https://example.com.evil.io"), ("notexample.com", "notexample.com"),
    ("https://еxample.com", "https://еxample.com"), ("https://例子.中国", "https://例子.中国"),
    ("https://example.com.中国", "https://example.com.中国"), ("//evil.zz/x", "//evil.zz/x"),
    ("![x](https://evil.com/p.png?d=1)", "https://evil.com/p.png?d=1"), ("http://1.2.3.4:80/", "http://1.2.3.4:80/"),
    ("http://[::1]/", "http://[::1]/"), ("http://3232235777/", "http://3232235777/"),
    ("https://ev\u200bil.com", "https://ev\u200bil.com"),
    ("ｈｔｔｐｓ：／／ｅｖｉｌ．ｃｏｍ", "ｈｔｔｐｓ：／／ｅｖｉｌ．ｃｏｍ"),
    ("https://ev%69l.com", "https://ev%69l.com"), ("https://example.com/r?u=https://evil.com", "https://evil.com"),
    ("看https://example.com。再看https://evil.com吧", "https://evil.com"),
    ("http://localhost:8080", "http://localhost:8080"),
]  # fmt: skip

GOOD_LINKS = [
    "https://example.com", "https://docs.example.com/a?b=c#d", "EXAMPLE.COM/x", "https://ex%61mple.com:8443/",
    "example.com.", "https://intra.example.org/", "main.py", "e.g. this", "version 1.2.3", "3.14", "a.b.c",
    "jo@evil.com", "and/or", "x//y", "the dot com era", "https://user@example.com/", "file.txt", "1.com2",
    "看https://example.com。然后",
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), LEAKS)
def test_instructions_given_away(text: str, words: str) -> None:
    assert found(LEAK, text)[:1] == [("SYSTEM_PROMPT", words)]


@pytest.mark.parametrize("text", NO_LEAKS)
def test_instructions_that_are_kept(text: str) -> None:
    assert found(LEAK, text) == []


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("Good morning", "morning"),
        ("Good morning ", ""),
        ("so you are ", "you are "),
        ("今天", ""),
        ("你是一个", "你是一个"),
    ],
)
def test_only_what_may_become_a_leak_is_held_back(text: str, back: str) -> None:
    assert held(LEAK, text) == back


@pytest.mark.parametrize(("text", "words"), BAD_LINKS)
def test_links_to_other_hosts(text: str, words: str) -> None:
    assert found(LINKS, text) == [("HOST", words)]


@pytest.mark.parametrize("text", GOOD_LINKS)
def test_links_to_allowed_hosts_and_what_is_no_link(text: str) -> None:
    assert found(LINKS, text) == []


@pytest.mark.parametrize(
    ("authority", "host"),
    [("A.b:80", "a.b"), ("u:p@x.y", "x.y"), ("a@b@c.d", "c.d"), ("x[.]y", "x.y"), ("x.y.", "x.y"), ("%78.y", "x.y")],
)
def test_the_host_is_where_a_browser_goes(authority: str, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(("length", "beyond"), [(9, False), (10, False), (11, True), (500, True)])
def test_a_text_that_is_too_long(length: int, beyond: bool) -> None:
    matches = Length(10).scan(Window("x" * length)).matches
    assert [(match.start, match.end) for match in matches] == ([(10, 11)] if beyond else [])


def test_patterns_of_ones_own() -> None:
    detector = Custom({"BADGE": r"\bB\d{4}\b", "CASE": r"^C-\d+$"})
    assert found(detector, "B1234, (B9999) xB1111 B12345 C-7 C-8. 员工B4321号") == [
        ("BADGE", "B1234"), ("BADGE", "B9999"), ("CASE", "C-7"), ("BADGE", "B4321"),
    ]  # fmt: skip
    assert held(detector, "a b B1") == "B1"
    assert held(detector, "员工") == ""


@pytest.mark.parametrize("pattern", ["(", "a{2000}{2000}", "(?=x)", r"(a)\1", "é", "x" * 600, "[b-a]"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(BadPattern):
        Custom({"X": pattern})
