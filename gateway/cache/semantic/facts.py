"""What a question says that no likeness makes up for: figures, names, polarity, time. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.cache.semantic import words
from services.runtime.language.detect import UNKNOWN, language_of

YES_NO = "yes or no"
LONGEST = 1000
"""Characters of a question that is compared by meaning."""
_TOKEN = re.compile(r"[A-Za-z][A-Za-z'’]*[A-Za-z]|[A-Za-z]|\d+(?:[.,:]\d+)*|[\u3400-\u9fff]+")
# All that is looked at below, and the signs that stand between. What is not looked at is not there for the gates, and
# hardly for an embedder, but a model reads it.
_SEEN = re.compile(r"[ -~\n\t\u3400-\u9fff\u3000-\u3002\u3008-\u3011，。？！：；、“”‘’（）《》…—–·～€£¥°]*")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_IDENTIFIER = re.compile(
    r"[A-Za-z_][\w.\-/]*\d[\w.\-/]*|\b\w+(?:[._/\\]\w+)+\b|\b[a-z]+[A-Z]\w*|(?<!\w)--?[a-z][\w-]+", re.ASCII
)
_HALF_OF_DAY = re.compile(r"\d\s*([ap])\.?m\b")
_QUOTED = re.compile(r"[\"“「『《`]([^\"”」』》`]{1,200})[\"”」』》`]|(?<!\w)'([^']{1,200})'(?!\w)")
_TO = re.compile(r"(?:\b(?:to|into)\s+|[成为到往])\s*(?:the\s+|a\s+|an\s+|my\s+)?([A-Za-z]+|[\u3400-\u9fff]{2})")
_FROM = re.compile(r"(?:\bfrom\s+|[从])\s*(?:the\s+|a\s+|an\s+|my\s+)?([A-Za-z]+|[\u3400-\u9fff]{2})")


@dataclass(frozen=True, slots=True)
class Facts:
    """`seen`: all of the question is looked at here; another one is compared with nothing. `tokens`: words in lower
    case, and runs of Chinese. `content`: what is left of them without those that stand in any question; of Chinese its
    characters."""

    text: str
    seen: bool
    language: str
    tokens: tuple[str, ...]
    content: frozenset[str]
    numbers: tuple[str, ...]
    units: frozenset[str]
    days: frozenset[str]
    names: frozenset[str]
    quoted: frozenset[str]
    identifiers: frozenset[str]
    negations: int
    past: bool
    future: bool
    temporal: frozenset[str]
    kinds: frozenset[str]
    to: frozenset[str]
    source: frozenset[str]


def facts_of(text: str) -> Facts:
    """The facts of a question, of LONGEST characters."""
    whole = len(text) <= LONGEST
    text = unicodedata.normalize("NFKC", text[:LONGEST]).strip()
    lower = text.lower().replace("’", "'").replace("n't", " not")
    tokens = tuple(_TOKEN.findall(lower))
    chinese = "".join(words.CJK.findall(lower))
    return Facts(
        text, whole and _SEEN.fullmatch(text) is not None,
        language_of(text), tokens, _content(tokens), _numbers(lower, tokens), _units(lower, tokens),
        frozenset(day for word, day in words.WEEKDAYS.items() if word in lower), _names(text),
        frozenset(first or second for first, second in _QUOTED.findall(text)),
        frozenset(found.lower() for found in _IDENTIFIER.findall(text)),
        _negations(tokens, chinese),
        _is_past(lower, tokens), any(_has(lower, tokens, word) for word in words.FUTURE),
        frozenset(word for word in words.TEMPORAL if _has(lower, tokens, word)),
        _kinds(lower, tokens),
        frozenset(map(stem, _TO.findall(lower))), frozenset(map(stem, _FROM.findall(lower))),
    )  # fmt: skip


def conflict(one: Facts, other: Facts) -> str:
    """The first gate that does not let the answer to `other` pass for `one`; empty where all do."""
    return next(_conflicts(one, other), "")


def _conflicts(one: Facts, other: Facts) -> Iterator[str]:
    if one.language != other.language and UNKNOWN not in (one.language, other.language):
        yield "language"
    if one.numbers != other.numbers:
        yield "number"
    if one.units != other.units or one.days != other.days:
        yield "unit"
    if one.quoted != other.quoted or one.identifiers != other.identifiers:
        yield "quoted"
    if not _named_alike(one, other):
        yield "name"
    if bool(one.negations % 2) != bool(other.negations % 2) or _opposed(one, other):
        yield "polarity"
    if (one.past, one.future) != (other.past, other.future) or one.temporal != other.temporal:
        yield "tense"
    if _asks_otherwise(one, other):
        yield "kind"
    if (one.to & other.source) or (one.source & other.to) or (one.to and other.to and _swapped(one, other)):
        yield "direction"


def stem(word: str) -> str:
    """A word without the endings of its number and form."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not words.CJK.match(word):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def _content(tokens: tuple[str, ...]) -> frozenset[str]:
    found: set[str] = set()
    for token in tokens:
        if words.CJK.match(token):
            found |= set(unified(token)) - words.EMPTY_CHARACTERS
        elif token not in words.EMPTY:
            found.add(unified(token))
    return frozenset(found)


def unified(token: str) -> str:
    """A word as all that mean the same have it; of Chinese a run with its phrases so."""
    if words.CJK.match(token):
        for phrase, said in words.PHRASES:
            token = token.replace(phrase, said)
        return token
    token = token.removesuffix("'s")
    return stem(words.SYNONYMS.get(token) or words.SYNONYMS.get(stem(token)) or token)


def _numbers(lower: str, tokens: tuple[str, ...]) -> tuple[str, ...]:
    found = [number.replace(",", "") for number in _NUMBER.findall(lower)]
    for token in tokens:
        if words.CJK.match(token):
            found += [
                words.NUMBERS[each] for each in re.sub("星期.|周.|二维|三方|双重", "", token) if each in words.NUMBERS
            ]
        elif token in words.NUMBERS:
            found.append(words.NUMBERS[token])
    return tuple(sorted(found))


def _units(lower: str, tokens: tuple[str, ...]) -> frozenset[str]:
    without = re.sub(
        "多少天|几天|星期.|周[一二三四五六日末]|周围|今年|年假|一年|元素|月费",
        lambda found: {"年假": "", "一年": "年", "月费": "月"}.get(found[0], ""),
        lower,
    )
    spaced = tuple(_TOKEN.findall(without))
    found = {name for word, name in words.UNITS.items() if _has(without, spaced, word)}
    if "meter" in found and "kilometer" in found and not re.search(r"[^公千厘]米|\bmet", without):
        found.discard("meter")
    return frozenset(found | set(_HALF_OF_DAY.findall(lower)))


def _names(text: str) -> frozenset[str]:
    """Words with a capital letter that do not begin the text, and Latin words in Chinese."""
    tokens = list(re.finditer(r"[A-Za-z][A-Za-z0-9_+#.-]*", text))
    if words.CJK.search(text):
        return frozenset(token[0].lower().rstrip(".") for token in tokens)
    return frozenset(
        _bare(token[0]) for token in tokens if token.start() and any(map(str.isupper, token[0])) and token[0] != "I"
    )


def _bare(name: str) -> str:
    return name.lower().rstrip(".").removesuffix("'s")


def _named_alike(one: Facts, other: Facts) -> bool:
    here, there = {each.removesuffix("'s") for each in one.tokens}, {each.removesuffix("'s") for each in other.tokens}
    folded = {stem(each) for each in here}, {stem(each) for each in there}
    return all(_in(name, there, folded[1], other) for name in one.names) and all(
        _in(name, here, folded[0], one) for name in other.names
    )


def _in(name: str, tokens: set[str], stems: set[str], facts: Facts) -> bool:
    return name in tokens or stem(name) in stems or name in facts.text.lower()


def _opposed(one: Facts, other: Facts) -> bool:
    for left, right, marked in words.ANTONYMS:
        if marked and _saying(one, right) != _saying(other, right):
            return True
        if _faces(one, other, left, right) or _faces(other, one, left, right):
            return True
    return False


def _faces(one: Facts, other: Facts, left: frozenset[str], right: frozenset[str]) -> bool:
    mine, yours = _saying(one, left), _saying(other, right)
    return mine and yours and not _saying(one, right) and not _saying(other, left)


def _saying(facts: Facts, said: frozenset[str]) -> bool:
    lower = facts.text.lower()
    stems = {stem(token) for token in facts.tokens}
    return any(
        (word in lower) if words.CJK.match(word) else (word in facts.tokens or stem(word) in stems) for word in said
    )


def _asks_otherwise(one: Facts, other: Facts) -> bool:
    apart = ("why", "where", "when", "who", "long", "often", "price", "count", "meaning", YES_NO)
    return any((kind in one.kinds) != (kind in other.kinds) for kind in apart)


def _swapped(one: Facts, other: Facts) -> bool:
    """Whether each names as its goal what the other has elsewhere."""
    left, right = one.to - other.to, other.to - one.to
    return any(goal in other.text.lower() for goal in left) and any(goal in one.text.lower() for goal in right)


def _has(lower: str, tokens: tuple[str, ...], word: str) -> bool:
    return (word in lower) if words.CJK.match(word) or " " in word else word in tokens


def _negations(tokens: tuple[str, ...], chinese: str) -> int:
    """How many there are; "whether or not" is none."""
    for asked in words.YES_NO:
        chinese = chinese.replace(asked, "")
    return sum(token in words.NEGATIONS for token in (*tokens, *chinese))


def _is_past(lower: str, tokens: tuple[str, ...]) -> bool:
    """Of a question without an auxiliary every form in -ed says so: "Who painted it?"."""
    if any(_has(lower, tokens, word) for word in words.PAST) or words.DONE.search(lower):
        return True
    done = any(re.fullmatch(r"[a-z]{3,}ed", token) and token not in words.NO_PAST for token in tokens)
    return done and not words.AUXILIARIES.intersection(tokens)


def _kinds(lower: str, tokens: tuple[str, ...]) -> frozenset[str]:
    """What is asked for."""
    if _is_yes_no(lower, tokens):
        return frozenset((YES_NO,))
    return frozenset(name for name, said in words.KINDS if any(_asks(lower, tokens, word) for word in said))


def _is_yes_no(lower: str, tokens: tuple[str, ...]) -> bool:
    """Whether yes or no is an answer."""
    if words.CJK.search(lower):
        return any(said in lower for said in words.YES_NO)
    return bool(tokens) and tokens[0] in words.AUXILIARIES


def _asks(lower: str, tokens: tuple[str, ...], word: str) -> bool:
    """Whether a question begins with a word, where it is one that may also join two clauses."""
    return word in tokens[:3] if word in ("when", "where", "who", "cause") else _has(lower, tokens, word)
