"""Guards never fail, whatever the text, and take linear time, also over texts made to be slow."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.guard.custom import Custom
from gateway.guard.detector import Detector, Window
from gateway.guard.leak import Leak
from gateway.guard.links import Links
from gateway.guard.normalize import PLAIN, SEARCH, Folded
from gateway.guard.personal import detector as personal
from gateway.guard.secrets import CATEGORIES, Secrets
from gateway.guard.terms.automaton import Automaton
from gateway.guard.terms.detector import Terms
from gateway.guard.terms.disguise import drawn_together

NESTED = ["a" * length for length in range(1, 4)]
DETECTORS: dict[str, Detector] = {
    "pii": personal.PersonalData(personal.CATEGORIES, ("US", "CN", "GB", "DE")),
    "secrets": Secrets(CATEGORIES),
    "terms": Terms(Automaton((term, "t") for term in [*NESTED, "敏感词", "k1ll"]), disguised=True),
    "leak": Leak("you are a helpful assistant " * 50 + "敏感词" * 50, 8),
    "links": Links(["example.com"]),
    "custom": Custom({"BOMB": "(a|aa)+$", "B": r"(.*)*x", "C": r"\bB\d{4}\b"}),
}
BOMBS = [
    "1 ", "1-", "a", "a.", "a@", "a.a@a.", "4111 ", "AB12 ", "-----BEGIN ", "eyJ", "sk-", "eyJaaaaaaaaa.eyJaaaaaaaaa.",
    "(1", "+1", "123456789012345 ", "202-555-0123 ", "a dot ", "//", "[.]", "a[.]", "https://", "http://a.", "敏 ",
    "DE89 ", "DE89", "4", "4 ", "22 ", "2222 ", "6304/", "/\\", "http:", "http:a.", "https://example.com$@", "a:",
    "a+", "a-",
    "&#58;", "&", 'href="', 'href="\n', "](", "https://敏", "data:text/html", "mailto:a", "020 7946 0958 / ",
    "00 49 30 ",
    "1.2.3.4 ", "hw_", "AKIA", "://a:b", "aws_secret_access_key=", "x.com/",
    'https://a"@b.c', "http:example.com\"@example.com", "https://a／", "href='a ", "](<a ", "0170 1234567 ", "+49 ",
    "0123 0456 ", "(0)", "de89 ", "a@б", "a@敏", "xghp_", "&#6", "\\@", "two-",
    "x.to ", "a.in", "self.x.to=", "x.to(", "config.h.in ", "488b 4111 1111 1111 1111 ", "2341 2341 2346 ", "24:00:00 ",
    "0.55 -", "MA 02110-1301 ", "4670791211716937984,", "+82259684194E", "2x.png@",
    "a ", "you are a helpful ", "<", "<EMAIL_1", "\u200b", "\u0301", "ﷺ", "１", "%2e", "a%", "\\n", "\n",
    "-----BEGIN PRIVATE KEY-----" + "A" * 60 + "\n",
    "612 345 678 ", "13812345678 ", "01 02 03 04 05 ", "a%40b.", "secret access key: ", "AccountKey = ",
    "Private-Lines: 2\n", "Private-Lines: 2\n" + "A" * 64 + "\n", "MTIz", "://a:b@c.de", "+44 7700 900123 ",
    "\U000e0041", "bot123456789:AA", "(0171 1234567)", "%B4111111111111111^",
]  # fmt: skip
SMALL, LARGE = 2_000, 16_000


def seconds(detector: Detector, text: str, final: bool) -> float:
    began = time.thread_time()
    detector.scan(Window(text, final=final))
    return time.thread_time() - began


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=300), final=st.booleans(), start=st.integers(0, 50))
def test_no_text_makes_a_detector_fail(name: str, text: str, final: bool, start: int) -> None:
    first = min(start, len(text))
    scan = DETECTORS[name].scan(Window(text, first, final=final))
    assert first <= scan.open_from <= len(text)
    for match in scan.matches:
        assert 0 <= match.start < match.end <= len(text)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("bomb", BOMBS, ids=repr)
@pytest.mark.parametrize("final", [True, False])
def test_no_text_makes_a_detector_slow(name: str, bomb: str, final: bool) -> None:
    detector = DETECTORS[name]
    small, large = (bomb * (size // len(bomb) + 1) for size in (SMALL, LARGE))
    if seconds(detector, large, final) < 0.1:
        return
    ratio = min(seconds(detector, large, final) / seconds(detector, small, final) for _ in range(3))
    assert ratio < 4 * LARGE / SMALL


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=100), cut=st.integers(0, 100))
def test_a_text_is_folded_in_pieces_as_in_one(text: str, cut: int) -> None:
    for fold in (PLAIN, SEARCH):
        assert fold(text[:cut]) + fold(text[cut:]) == fold(text)
        view = fold.fold(text)
        places = [view.origin(at) for at in range(len(view.text) + 1)]
        assert places == sorted(places)
        assert places[-1] == len(text)


@pytest.mark.parametrize(
    ("written", "plain", "search"),
    [
        ("ＡＢ１２", "AB12", "ab12"), ("a\u200bb", "ab", "ab"), ("x\u00a0y", "x y", "x y"), ("١٢٣", "123", "123"),
        ("1–2", "1-2", "1-2"), ("ﬁn", "fin", "fin"), ("É", "É", "e"), ("e\u0301", "e\u0301", "e"), ("ß", "ß", "ss"),
        ("СССР", "СССР", "cccp"), ("が", "が", "が"), ("한", "한", "한"), ("①", "1", "1"),
        ("a\U000e0100b", "ab", "ab"), ("a\u180bb", "ab", "ab"), ("a\x00b\x1bc", "abc", "abc"), ("a\u20ddb", "ab", "ab"),
        ("a\x85\x9fb", "a\x85b", "a\x85b"), ("4\ufe0f\u20e31\u0336", "41", "41"), ("a\ufff0\U000e0001b", "ab", "ab"),
        ("a\U0001d173\u2065b", "ab", "ab"), ("a\udc00b", "ab", "ab"), ("❶⓶❿⑴", "12101", "12101"), ("¹₂𝟛", "123", "123"),
        ("\u2e3a\u207b", "--", "--"), ("a\u2044b", "a/b", "a/b"), ("ʙᴀᴅ", "ʙᴀᴅ", "bad"), ("🅱🄰🅳", "🅱A🅳", "bad"),
        ("оՕ", "оՕ", "oo"), ("\t\n\r", "\t\n\r", "\t\n\r"), ("二", "二", "二"),
    ],
)  # fmt: skip
def test_what_characters_fold_to(written: str, plain: str, search: str) -> None:
    assert (PLAIN(written), SEARCH(written)) == (plain, search)


HIDDEN = ["\u200b", "\U000e0100", "\u180b", "\x00", "\u20dd", "\u2065", "\ufe0f", "\U0001d173", "\U000e0041", "\x1f"]
SEEN = [
    ("pii", "4111 1111 1111 1111"), ("pii", "jo@example.com"), ("secrets", "AKIAIOSFODNN7EXAMPLE"), ("terms", "敏感词"),
    ("links", "https://evil.com"), ("custom", "B1234"), ("leak", "you are a helpful assistant you are a"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SEEN)
@pytest.mark.parametrize("hidden", HIDDEN, ids=repr)
def test_what_is_not_seen_blinds_no_detector(name: str, text: str, hidden: str) -> None:
    """And what is found is all of it, at its places in the text as it came."""
    disguised = hidden.join(text)
    [match, *_] = DETECTORS[name].scan(Window(f"so {disguised} it is")).matches
    assert (match.start, match.end) == (3, 3 + len(disguised))


DIGITS = ["０", "٠", "𝟎", "₀", "⓪①②③④⑤⑥⑦⑧⑨", "🄋➀➁➂➃➄➅➆➇➈"]


@pytest.mark.parametrize("zero", DIGITS)
def test_digits_of_all_kinds_are_digits(zero: str) -> None:
    digits = zero if len(zero) == 10 else "".join(chr(ord(zero) + number) for number in range(10))
    text = "".join(digits[int(each)] for each in "4111111111111111")
    assert [match.category for match in DETECTORS["pii"].scan(Window(text)).matches][:1] == ["CARD"]


@pytest.mark.parametrize("words", [3, 4, 8, 9])
@pytest.mark.parametrize("before", range(12))
def test_a_leak_is_found_wherever_it_stands(words: int, before: int) -> None:
    instructions = [f"word{number}" for number in range(40)]
    leak = Leak(" ".join(instructions), words)
    for first in range(41 - words):
        some = instructions[first : first + words]
        for said, times in ((some, 1), (some[:-1], 0)):
            text = " ".join(["other"] * before + said + ["other"] * 5)
            assert len(leak.scan(Window(text)).matches) == times


@settings(max_examples=500, deadline=None)
@given(text=st.text("ab1_ .-*\n", max_size=12))
def test_gaps_between_letters_are_seen_in_every_script_alike(text: str) -> None:
    ascii_text, other = (drawn_together(Folded(one, None, len(one))) for one in (text, text.replace("b", "ж")))
    assert (ascii_text and ascii_text.text.replace("b", "ж")) == (other and other.text)
