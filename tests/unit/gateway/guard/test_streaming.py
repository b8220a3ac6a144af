"""Whatever the pieces an answer comes in, what is released is what the whole at once gives."""

import random
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.guard.compile import OutputFacts, compile_policy
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.stream import OutputStream
from gateway.guard.terms.library import Library
from gateway.guard.vault import Vault
from tests.unit.gateway.guard.vaults import vault_of

INSTRUCTIONS = (
    "You are the assistant of Acme and must never tell anyone what the discount code is. "
    "你是一个乐于助人的助手，不要泄露密码。"
)
REDACT = """
guards:
  - {guard: pii, stage: both, action: redact, restore: true, regions: [US, CN, GB], patterns: {BADGE: 'B\\d{4}\\b'}}
  - {guard: secrets, stage: output, action: redact}
  - {guard: terms, stage: output, action: redact, terms: [badword, 敏感词, 敏感词汇表, "two words", c4, kill]}
  - {guard: system_prompt, action: redact, words: 4}
  - {guard: links, action: redact, allowed: [example.com]}
"""
BLOCK = REDACT.replace("{guard: terms, stage: output, action: redact", "{guard: terms, stage: output, action: block")
LIMITED = BLOCK + "  - {guard: length, characters: 60}\n"
PIECES = [
    "a.b@example.com", "a.b@exa", "mple.com", "4111 1111 1111 1111", "4111-1111-", "1111-1111", "1 1 1 1 ", "2",
    "DE89 3704 0044 0532 0130 00", "AB12 ", "11010519491231002X", "+1 (202) 555-0123", "856-45-6789", "13812345678",
    "RSSMRA85T10A562S", "1 85 05 78 006 084 91", "020 7946 0958", "B1234", "badword", "b a d w o r d", "b.a.d.",
    "BadW0rd", "敏感词", "敏*感*", "词汇表", "two", " words", "c4", "k", "ill", "https://example.com/",
    "https://evil.com/x?y=1", "hxxps://evil[.]com", "evil dot com", " dot ", "evil.", "com", "//", "http:", "https:",
    "example.com", "$@evil.com", "你好@evil.com", ",.evil.com", "/\\", "](", "](<", 'href="',
    '"', "ht\ntps:", "&#58;", "&sol;", "&Tab;", "&", "javascript:x", "mailto:jo@", "'", ")", "\\", "4111.1111.",
    "4111\n",
    "1111.1111", "DE89.3704.0044.0532.0130.00", "06 12 34 56 78", "216.239.32.10", "postgres://u:", "hunter22@db",
    "123456789:AA", "abcdefghij" * 3 + "abc", "you are the assistant of", " acme and must", "乐于助人的", "助手，不要",
    "<EMAIL_1>", "<EMAIL", "_1", ">", "<",
    "AKIAIOSFODNN7EXAMPLE", "sk-", "abcdefghij0123456789", "ghp_a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1",
    "eyJhbGciOi.eyJzdWIiOiIx.abcdefgh12", "-----BEGIN PRIVATE KEY-----\n", "MIIEvQIBADANBgkqhkiG9w0BAQEF\n",
    "-----END PRIVATE KEY-----", "-----BEGIN ", "\u200b", "ｂａｄ", "ﬁ", "é", "e\u0301", " ", "\n", ".", ",", "。",
    "／login", "`@evil.com", "\u3000@evil.com", "href='https://example.com ", "](<https://example.com ",
    "file:\\\\",
    "0170 1234567 ", "202-555-0143 ", "+49 170 1234567", "4711 ", "4111111111111111", "EUR", "Visa", "-12/29",
    "de89 3704 0044 ", "0532 0130 00", "IBAN", "ghp_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2", "bob@münchen.de",
    "bob@例え.",
    "jp", "xn--p1ai", "\r\n", "&#64;", "\\@",
    "234123412346", "488b ", "0000 ", "2341 2341 2346", "4670791211716937984", "card ", "02:58:24 ", "+82259684194",
    "E-1",
    "MA ", "02110-1301", "arn:aws:iam::", "565803892007", ":", "self.", "x.to", "(", "[", " = ", "==", "?.", " import ",
    "logging.info", "evil.in", "config.h.in", "logo@2x.png", "+@",
    "-", "_", "@", "/", "the", "quick", "I", "x", "X", "今天", "天气", "А", "١٢٣",
]  # fmt: skip
CASES = st.sampled_from([str, str, str.upper, str.title])  # what looks for small letters must look for all
pieces = st.builds(lambda case, piece: case(piece), CASES, st.sampled_from(PIECES))
texts = st.lists(st.one_of(pieces, st.text(max_size=6)), max_size=14).map("".join)


def pipeline(spec: str) -> GuardPipeline:
    return GuardPipeline(compile_policy(parse(spec), Library(None)), None)


PIPELINES = {"redact": pipeline(REDACT), "block": pipeline(BLOCK), "limited": pipeline(LIMITED)}
VAULT = vault_of("EMAIL", "jo@example.com")


def stream(name: str, vault: Vault = VAULT) -> OutputStream:
    return PIPELINES[name].output(vault, OutputFacts(INSTRUCTIONS))


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=400, deadline=None)
@given(text=texts, cuts=st.lists(st.integers(0, 10_000), max_size=40))
@example(text="call 4111 1111 1111 1111 now", cuts=list(range(30)))
@example(text="b a d w o r d!", cuts=list(range(30)))
@example(text="see Evil Dot Com now", cuts=[9, 12, 13])
@example(text="I was told: you are the assistant of acme, so", cuts=list(range(60)))
def test_pieces_give_what_the_whole_gives(name: str, text: str, cuts: list[int]) -> None:
    whole = stream(name).whole(text)
    screened = stream(name)
    released = [screened.feed(piece) for piece in in_pieces(text, cuts)]
    released.append(screened.finish())
    assert "".join(each.text for each in released) == whole.text
    assert [finding for each in released for finding in each.findings] == list(whole.findings)
    assert next((each.blocked for each in released if each.blocked), None) == whole.blocked


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=200, deadline=None)
@given(text=texts)
def test_each_character_by_itself(name: str, text: str) -> None:
    screened = stream(name)
    released, until = "", 0
    for at, character in enumerate(text):
        each = screened.feed(character)
        released += each.text
        assert until <= screened.released_until <= at + 1
        until = screened.released_until
        assert len(released) == screened.shift(until)
    released += screened.finish().text
    whole = stream(name).whole(text)
    assert released == whole.text
    if whole.blocked:
        assert screened.released_until <= whole.blocked.start
    else:
        assert screened.released_until == len(text)


@settings(max_examples=200, deadline=None)
@given(text=texts)
def test_places_are_kept(text: str) -> None:
    screened = stream("redact")
    said = screened.whole(text).text
    places = [screened.shift(at) for at in range(len(text) + 1)]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == len(said)


def test_random_texts_of_all_sorts() -> None:
    chance = random.Random(5)
    for _ in range(300):
        text = "".join(chance.choice(PIECES) + chance.choice(["", " ", " ", "，"]) for _ in range(30))
        name = chance.choice(list(PIPELINES))
        whole, screened = stream(name).whole(text), stream(name)
        said = "".join(
            screened.feed(piece).text for piece in in_pieces(text, [chance.randrange(999) for _ in range(99)])
        )
        assert said + screened.finish().text == whole.text
