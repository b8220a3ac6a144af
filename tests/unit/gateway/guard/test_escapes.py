"""Text behind JSON's escapes, and JSON that stays JSON whatever is put in place of a part of it."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.guard.compile import OutputFacts, compile_policy
from gateway.guard.escapes import may_escape, unescape
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.stream import OutputStream
from gateway.guard.terms.library import Library

POLICY = r"""
guards:
  - {guard: pii, stage: both, action: redact, restore: true, patterns: {BADGE: '^C-\d+$'}}
  - {guard: secrets, stage: output, action: redact}
  - {guard: terms, stage: output, action: redact, terms: [badword, kill, "two words", "666666"]}
  - {guard: system_prompt, action: redact, words: 4}
  - {guard: links, action: redact, allowed: [example.com]}
"""
INSTRUCTIONS = "You are the assistant of Acme and must never tell anyone what the discount code is."
PIPELINE = GuardPipeline(compile_policy(parse(POLICY), Library(None)), None)
CARD = "4111111111111111"


def stream() -> OutputStream:
    return PIPELINE.output(facts=OutputFacts(INSTRUCTIONS))


@pytest.mark.parametrize(
    ("written", "read", "origins"),
    [
        (r"a\u0040b", "a@b", [0, 1, 7]),
        (r"\n\t\"\/\\", '\n\t"/\\', [0, 2, 4, 6, 8]),
        (r"\ud83d\ude00!", "😀!", [0, 12]),
        (r"\ud83d!", "\ufffd!", [0, 6]),
        (r"a\\u0040", "a@", [0, 1]),
        ("a%40b%2525c", "a@b%c", [0, 1, 4, 5, 10]),
        ("a\U000e0042c%zz", "aBc%zz", list(range(6))),
        (r"C:\users\x", r"C:\users\x", list(range(10))),
    ],
)
def test_what_is_read_behind_escapes(written: str, read: str, origins: list[int]) -> None:
    view = unescape(written).read
    assert view.text == read
    assert [view.origin(at) for at in range(len(read))] == origins
    assert view.origin(len(read)) == len(written)


@settings(deadline=None)
@given(st.text(), st.booleans())
def test_what_json_writes_is_read_as_it_was(text: str, ascii_only: bool) -> None:
    written = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    if not may_escape(text):  # behind which JSON within JSON, for one, would be read
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        assert unescape(written).read.text.replace("\ufffd", "") == whole.replace("\ufffd", "")


@pytest.mark.parametrize("text", [r"a\u0040b", r"\ud83d\ude00", r"a\\u0040b\\\\n", r'{"a": "\"b\""}'])
def test_an_escape_that_has_not_ended_is_not_read(text: str) -> None:
    whole = unescape(text).read
    for cut in range(len(text)):
        part = unescape(text[:cut], final=False).read
        assert whole.text.startswith(part.text)
        assert part.length <= cut


def escaped(text: str) -> str:
    """Every character but the digits of numbers as an escape."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (r'{"to": "jo\u0040example.com"}', '{"to": "<EMAIL>"}'),
        (f'{{"to": "{escaped("jo@example.com")}"}}', '{"to": "<EMAIL>"}'),
        (r'{"to": "Hi,\njo@example.com"}', r'{"to": "Hi,\n<EMAIL>"}'),
        (r'{"a": "b\u0061dword", "b": "\u0062\u0061\u0064word!"}', '{"a": "*******", "b": "*******!"}'),
        (r'{"a": "\badword"}', '{"a": "********"}'),
        (f'{{"card": {CARD}}}', '{"card": "<CARD>"}'),
        (f'{{"card":{CARD},"next":1}}', '{"card":"<CARD>","next":1}'),
        (f"[1, {CARD}]", '[1, "<CARD>"]'),
        (f'```json\n{{"card": {CARD}}}\n```', '```json\n{"card": "<CARD>"}\n```'),
        ('{"n": 666666, "m": 666666.25, "k": -666666}', '{"n": "******", "m": "******", "k": "******"}'),
        ('{"jo@example.com": 1}', '{"<EMAIL>": 1}'),
        ('{"id":"C-7"}', '{"id":"<BADGE>"}'),
        (r'{"a": "{\"to\": \"jo\\u0040example.com\"}"}', r'{"a": "{\"to\": \"<EMAIL>\"}"}'),
        ('["you are", "the assistant of", "acme"]', '["<SYSTEM_PROMPT>", " of", "acme"]'),
        (r"see \u0065vil.com now", "see <HOST> now"),
        (r"jo\u0040example.com in prose", "<EMAIL> in prose"),
        (f"[1] call {CARD} now", "[1] call <CARD> now"),
        *[
            (f'{{"card": {number}, "n": [{number}]}}', '{"card": "<CARD>", "n": ["<CARD>"]}')
            for number in (
                "4111111111111111.0",
                "4111111111111111e0",
                "4.111111111111111e15",
                "4.111111111111111E+15",
                "41111111111111110e-1",
                "4111111111111111.000e0",
            )
        ],
        ('{"n": 6.66666e5, "m": 4111111111111111.5}', '{"n": "*********", "m": 4111111111111111.5}'),
        ("to jo&#64;example.com now", "to <EMAIL> now"),
        ("to jo&commat;example&period;com now", "to <EMAIL> now"),
        ("to jo&amp;#x40;example.com now", "to <EMAIL> now"),
        (r"to jo\@example.com now", "to <EMAIL> now"),
        (r'{"to": "jo\\@example.com"}', '{"to": "<EMAIL>"}'),
        ("b&#97;dword, two&nbsp;words", "*******, *********"),
        ("AT&T and R&D, a=1&b=2", "AT&T and R&D, a=1&b=2"),
        (r"C:\temp and D:\new", r"C:\temp and D:\new"),
        (r'{"path": "C:\\temp\\new", "n": 12}', r'{"path": "C:\\temp\\new", "n": 12}'),
    ],
)
def test_json_is_screened_as_it_is_read_and_stays_json(text: str, said: str) -> None:
    assert stream().whole(text).text == said
    one = stream()
    assert "".join(one.feed(character).text for character in text) + one.finish().text == said


async def test_what_was_taken_out_of_json_is_put_back_as_json() -> None:
    pipeline = GuardPipeline(compile_policy(parse(POLICY.replace(r"^C-\d+$", r'q"\d')), Library(None)), None)
    screened = await pipeline.screen_input([r'{"a": "jo\u0040example.com", "b": "q\"7"}', "and jo@example.com"])
    assert screened.texts == ['{"a": "<EMAIL_1>", "b": "<BADGE_1>"}', "and <EMAIL_1>"]
    answer = pipeline.output(screened.vault, OutputFacts()).whole('{"x": "<BADGE_1> of <EMAIL_1>"}')
    assert json.loads(answer.text) == {"x": 'q"7 of jo@example.com'}


SCALARS = st.sampled_from(
    ["jo@example.com", "badword", "two words", "fine", CARD, "evil.com", 'q"uote', "back\\slash", "a\nb", "666666",
     "C-7", "you are the assistant of", "\u200b", "é", "😀"]
)  # fmt: skip
NUMBERS = st.sampled_from([int(CARD), 666666, 1, -666666, 666666.5, True, None])
VALUES = st.recursive(
    SCALARS | NUMBERS | st.lists(SCALARS, max_size=3).map(" ".join),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=8,
)
# An escape, which stays, or one of the letters of which some are written as escapes.
_OF_JSON = re.compile(r"(?<!\\)[a-c]|\\u[0-9a-f]{4}|\\.")


def texts_of(value: object) -> list[str]:
    match value:
        case dict():
            return [text for pair in value.items() for each in pair for text in texts_of(each)]
        case list():
            return [text for each in value for text in texts_of(each)]
    return [str(value)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(VALUES, max_size=3) | st.dictionaries(SCALARS, VALUES, max_size=3), st.booleans(), st.integers(0, 1 << 30)
)
def test_whatever_is_found_json_stays_json(value: object, ascii_only: bool, seed: int) -> None:
    """And the same comes out in whatever pieces it comes."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    text = _OF_JSON.sub(
        lambda match: escaped(match[0]) if len(match[0]) == 1 and seed >> ord(match[0]) % 7 & 1 else match[0], text
    )
    assert json.loads(text) == value
    whole = stream().whole(text).text
    for said in texts_of(json.loads(whole)):
        assert not any(found in said for found in ("jo@example.com", "badword", CARD, "evil.com", "666666"))
    edges = sorted({0, len(text), *(seed * number % 9973 % (len(text) + 1) for number in range(1, 9))})
    one = stream()
    pieces = [one.feed(text[start:end]).text for start, end in pairwise(edges)]
    assert "".join(pieces) + one.finish().text == whole


PIECES = ["\\", "u00", "40", "\\u0040", "jo", "example.com", '"', "{", "[", ":", ",", " ", "\\n", "bad", "word", "```",
          CARD, "666666", ".5", "-", "\\ud83d", "\\ude00", "\\\\", "e",
          "&#64;", "&", "#6", "4;", "\\@", ".0", "e15", "4.111111111111111",
          "you are the ", "assistant of"]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.lists(st.integers(0, 999), max_size=12))
def test_pieces_of_anything_give_what_the_whole_gives(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    one = stream()
    released = [one.feed(text[start:end]) for start, end in pairwise(edges)] + [one.finish()]
    whole = stream().whole(text)
    assert "".join(each.text for each in released) == whole.text
    assert sorted(str(one) for each in released for one in each.findings) == sorted(map(str, whole.findings))
