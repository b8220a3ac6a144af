"""Links as browsers and renderers of Markdown read them: whatever leads elsewhere is found, whole."""

import pytest

from gateway.guard.links import Links
from gateway.guard.urls import hosts
from tests.unit.gateway.guard.scans import found, held

LINKS = Links(["example.com", "xn--bcher-kva.de"])

ELSEWHERE = [
    # Slashes of either kind, too few or too many.
    (r"[x](/\evil.com)", r"/\evil.com"), (r"[x](\/evil.com/a)", r"\/evil.com/a"), ("[x](//intranet)", "//intranet"),
    (r"[x](\\\\intranet)", r"\\\\intranet"), (r"[x]: /\evil.com", r"/\evil.com"), ("[x]( //evil/)", "//evil/"),
    (r'<img src="\\evil.com\x">', r"\\evil.com\x"), (r"\\evil.com\share", r"\\evil.com\share"),
    ("http:evil.com", "http:evil.com"), ("https:evil.com/x", "https:evil.com/x"), ("ftp:evil.com", "ftp:evil.com"),
    ("[a](https:evil)", "https:evil"), ("https:/evil.com", "https:/evil.com"),
    ("https:///evil.com", "https:///evil.com"),
    ("https:////evil.com", "https:////evil.com"), (r"hTTps:\\/evil.com", r"hTTps:\\/evil.com"),
    (r'{"url":"https:\/\/evil.com\/x"}', r"https:\/\/evil.com\/x"),
    # A name of a user, however odd, and what no host has in it.
    *[
        (f"https://example.com{odd}evil.com/x", f"https://example.com{odd}evil.com/x")
        for odd in ("@", "$@", ",@", ";a=b@", "!@", "'@", "(@", "*+@", "&@", "=@", "[@", "|@", "{@", "%24@", ":80@")
    ],
    *[
        (f"https://example.com{odd}evil.com", f"https://example.com{odd}evil.com")
        for odd in ("你好@", "。@", "，联系@", "é@", "🙂@", ",.", "$.", "。", "吧.", "&a.")
    ],
    ("https://example.com。中国", "https://example.com。中国"),
    ("https://" + "a" * 2000 + "@example.com", "https://" + "a" * 1000),
    # Names in other scripts and their ASCII form.
    ("https://xn--evil-abc.com", "https://xn--evil-abc.com"), ("https://bücher.com", "https://bücher.com"),
    ("https://ex\u00adample.com.evil.org", "https://ex\u00adample.com.evil.org"),
    ("https://ßexample.com", "https://ßexample.com"),
    ("https://example.com%2eevil.com", "https://example.com%2eevil.com"), ("https://e%76il.com", "https://e%76il.com"),
    # What a renderer decodes.
    ('<a href="ht\ntps://evil.com">', "ht\ntps://evil.com"), ("<a href='https:/\t/evil.com'>", "https:/\t/evil.com"),
    ('<img src="/\n/evil.com/x">', "/\n/evil.com/x"), ('<a href="https&colon;//evil.com">', "https&colon;//evil.com"),
    ("[x](https&#58;//evil.com)", "https&#58;//evil.com"), ("[x](&#x2f;&sol;evil.com)", "&#x2f;&sol;evil.com"),
    ('<a href="ht&Tab;tps:&sol;&sol;evil.com">', "ht&Tab;tps:&sol;&sol;evil.com"),
    ("[x](https://evil.co&#109;)", "https://evil.co&#109;"), ("[x](https\\://evil.com)", "https\\://evil.com"),
    (r"[x](https://example.com\.evil.com)", r"https://example.com\.evil.com"),
    # Other schemes.
    ("slack://evil/x", "slack://evil/x"), ("git+https://evil.com/x", "git+https://evil.com/x"),
    ("file://evil/share", "file://evil/share"), ("wss://evil.com", "wss://evil.com"), ("ldap://evil", "ldap://evil"),
    ("mailto:jo@evil.com", "mailto:jo@evil.com"), ("javascript:alert(1)", "javascript:alert(1)"),
    ("[x](data:text/html;base64,PHN)", "data:text/html;base64,PHN)"), ("vbscript:x", "vbscript:x"),
    # Where no slash ends what is before the `@`, and other signs end it for some readers only.
    *[
        (f"https://example.com{odd}@evil.com/x", f"https://example.com{odd}@evil.com/x")
        for odd in (
            "／login", "？", "＃", "＼", ":80／", "℀", "`", '"', ">", "\u00a0", "\u3000", "\u2028", '">x',
            "`a@example.com>",
        )
    ],
    *[
        (f"<a href='https://example.com{odd}@evil.com'>", f"https://example.com{odd}@evil.com")
        for odd in (" ", '"', "<", ">", "\u00a0", "\u3000", "\u2028", " a b ", '"<> ', "／")
    ],
    ('<img src=" https://example.com @evil.com">', "https://example.com @evil.com"),
    ("[a](<https://example.com @evil.com>)", "https://example.com @evil.com"),
    ('[a](https://example.com"@evil.com)', 'https://example.com"@evil.com'),
    (r"<a href='file:\\evil.com\share'>", r"file:\\evil.com\share"), (r"[a](FILE:\\evil.com)", r"FILE:\\evil.com"),
    (r"file:/\evil.com/x", r"file:/\evil.com/x"), ("file:////evil.com/x", "file:////evil.com/x"),
    # By number.
    ("http://0x7f.1/", "http://0x7f.1/"), ("https://[::ffff:1.2.3.4]/", "https://[::ffff:1.2.3.4]/"),
    ("https://１.２.３.４/", "https://１.２.３.４/"),
]  # fmt: skip

HERE = [
    "https://bücher.de/x", "https://BÜCHER.de", "https://xn--bcher-kva.de", "see [x](https://example.com).",
    "([x](https://example.com),[y](https://example.com/z))", "['https://example.com','a.b']", "`https://example.com`.",
    "https://example.com, and so", "https://docs.example.com:8443.", "https://example.com，然后下载setup.exe，再来",
    "看https://example.com吧，好", "https://example.com。然后", "mailto:jo+x@example.com", "<https://example.com>",
    "https://example.com/a&amp;b", '<a href="/docs\n/a">', '<a href="https://exa\nmple.com">', "[x](/docs/a.md)",
    '<a href="https://example.com">@evil.com</a>', '{"url":"https://example.com","mail":"jo@evil.com"}',
    '[a](https://example.com "by jo@evil.com")', "https://example.com jo@evil.com", "<https://example.com>@evil.com",
    "`https://example.com`@evil.com", 'https://example.com"@jo', '"https://example.com and jo@evil.com"',
    "https://example.com/a\"@evil.com", "file:///home/jo", r"file:\\C:\x", "https://example.com？好",
    # No links.
    "// a comment", "//TODO: fix", "//nolint", "a//b", "1//2.5", "http: the method", "https: yes",
    "javascript: the parts",
    "std::string", r"C:\Users\x.py", r"\hline \\ \section", r"re.compile(r'\d+\.\d+')", "a = b // c", "x=/etc/passwd",
    "https://{host}/x", "https://...", "data: text", "AT&T", "ratio 3:1", "12:30", "key:value.x", "http:", "a&b=c.",
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), ELSEWHERE)
@pytest.mark.parametrize("around", ["{}", "read {} now"])
def test_what_leads_elsewhere(text: str, words: str, around: str) -> None:
    assert found(LINKS, around.format(text) if "{" not in text else text) == [("HOST", words)]


@pytest.mark.parametrize("text", HERE)
def test_what_leads_here_or_nowhere(text: str) -> None:
    assert found(LINKS, text) == []


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("example.com", ["example.com"]),
        ("example.com:80/x@y", ["example.com"]),
        ("user@example.com?x", ["example.com"]),
        ("a$@B.c", ["a", "b.c"]),
        ("a.b\\@c.d", ["a.b", "c.d"]),
        ("bücher.de", ["xn--bcher-kva.de"]),
        ("a.b%2fc", [""]),
        ("$HOST", []),
        ("a,b.com", ["a", "a,b.com"]),
        ("[::1]:80", ["[::1]"]),
    ],
)
def test_the_hosts_of_a_reference(reference: str, names: list[str]) -> None:
    assert [host.name for host in hosts(reference)] == names


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ('see <a href="ht\ntps:', 'href="ht\ntps:'),
        ("看https://example.com你好", "https://example.com你好"),
        ("看https://example.com/你好", ""),
        ("a &#x", "&#x"),
        ("https://example.com, an", "an"),
    ],
)
def test_what_may_still_lead_elsewhere_is_held_back(text: str, back: str) -> None:
    assert held(LINKS, text) == back
