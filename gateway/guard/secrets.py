"""Keys and tokens in a text, by the forms that their issuers give them."""

import re
from collections.abc import Iterator, Sequence

from ahocorasick_rs import AhoCorasick

from gateway.guard.detector import Match, Scan, Window
from gateway.guard.secret_forms import CATEGORIES, DISCORD, FORMS, KEY_HEAD, NAMES, PUTTY_HEAD

__all__ = ("CATEGORIES", "SHORTEST", "Secrets")

# What the secret may stand right behind, as it is not its first characters that tell it.
_ANYWHERE = frozenset(("-----BEGIN ", PUTTY_HEAD, "://", ":AA", "8Q~", "7Q~"))
# How much of what stands before is part of it.
_BEFORE = {":AA": re.compile(r"(?<!\d)\d{8,10}\Z", re.ASCII), "8Q~": re.compile(r"(?<!\w)\w{3}\Z", re.ASCII)}
_BEFORE["7Q~"] = _BEFORE["8Q~"]
_BEFORE["secret_"] = re.compile(r"(?<!\w)\Z", re.ASCII)
_LONGEST_BEFORE = 12
# What words end with too, or numbers in base64 have in them: such begin a secret at the edge of a word only.
_WORDS = frozenset((
    "sk-", "key-", "SK", "SG.", "dapi", "r8_", "fw_", "ntn_", "pul-", "hvs.", "hvb.", "hvr.", "ya29.", "EAAA", *DISCORD,
))  # fmt: skip
_RUN_BEFORE = re.compile(rf"(?<![\w+/=-])[\w+/=-]{{0,{_LONGEST_BEFORE - 1}}}[A-Za-z0-9]\Z", re.ASCII)
_SHORTEST_BODY, _FEWEST_DIGITS = 20, 2
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-+/=\\ \t\r\n"
_LONGEST, _LONGEST_KEY, _LONGEST_PREFIX = 5200, 16_000, 40
_AFTER = 2
# All but passwords in addresses and private keys are of one word, which is so long at least.
SHORTEST = 15
_LONG_WORD = re.compile(rf" [!-~]{{{SHORTEST}}}")
# A name, what is the beginning of what stands behind it, and what a secret that has just ended has behind it.
_LONGEST_NAMED = 160
_KEY_WORD = re.compile("[Kk]ey|KEY")
_OPEN_NAME = re.compile(
    rf"(?:{'|'.join(map(re.escape, NAMES))})"
    r"[\"'`*\])]{0,3}\s{0,8}(?:i?s?|[=:>|,]{0,2})[\s\"'`*]{0,8}[A-Za-z0-9/+]{0,90}={0,2}[\s\S]{0,2}\Z",
    re.ASCII,
)
_WHITE = "\n\t\r\v\f"


class Secrets:
    """`categories`: of CATEGORIES."""

    def __init__(self, categories: Sequence[str]) -> None:
        forms = [
            (prefix, name, re.compile(form, re.ASCII))
            for name in FORMS
            if name in categories
            for prefixes, form in FORMS[name]
            for prefix in prefixes
        ]
        self._forms = forms
        # What a name tells may stand behind any letters: it is not its first characters that do.
        self._named = frozenset(at for at, (_, _, form) in enumerate(forms) if "secret" in form.groupindex)
        self._prefixes = AhoCorasick([prefix for prefix, _, _ in forms], store_patterns=False)

    def scan(self, window: Window) -> Scan:
        view = window.plain
        text = view.text
        may_be_in = _may_be_in(text)
        if window.final and not may_be_in:
            return Scan((), len(window.text))
        start = view.index(window.start)
        open_from = len(text) if window.final else max(start, self._open_from(text, start))
        found = list(self._find(text, start)) if may_be_in else []
        if found and not window.final:
            open_from = min(open_from, *(each.start for each in found if each.end > len(text) - _AFTER), open_from)
        matches: list[Match] = []
        for each in found:
            start = view.origin(each.start)
            told_by = start - view.origin(each.start - each.told_by)
            matches.append(Match(start, view.end(each.end), each.category, told_by=told_by))
        return Scan(matches, view.origin(open_from))

    def _find(self, text: str, start: int) -> Iterator[Match]:
        for number, at, after in self._prefixes.find_matches_as_indexes(text, overlapping=True):
            prefix, name, form = self._forms[number]
            first = _first(text, prefix, at)
            inside = first is not None and number not in self._named and prefix not in _BEFORE
            inside = inside and _is_inside(text, prefix, at)
            if first is None or (inside and not _may_begin_inside(text, prefix, at)):
                continue
            match = form.match(text, after)
            if match and (not inside or prefix.isupper() or _is_random(match[0])):
                part = match.span("secret") if "secret" in form.groupindex else (first, match.end())
                if part[0] >= start:
                    yield Match(*part, name, told_by=part[0] - first)

    def _open_from(self, text: str, start: int) -> int:
        return min(self._open_word(text), _open_key(text, start), _open_name(text))

    def _open_word(self, text: str) -> int:
        """Where, in the word that the text ends with, a secret may begin."""
        word = max(len(text.rstrip(_VISIBLE)), len(text) - _LONGEST)
        last = max(word, len(text) - _LONGEST_PREFIX)
        if last == word:
            return word
        begun = self._prefixes.find_matches_as_indexes(text[word:], overlapping=True)
        return min([last, *(max(word, word + at - _LONGEST_BEFORE) for _, at, _ in begun[:1])])


def _may_be_in(text: str) -> bool:
    """False where no secret is in a text. It is much faster than the automaton, which is cold when it is needed."""
    if not text.isascii() or "://" in text or KEY_HEAD in text:
        return True
    spaced = f" {text}"
    for sign in _WHITE:
        if sign in text:
            spaced = spaced.replace(sign, " ")
    return _LONG_WORD.search(spaced) is not None


def _first(text: str, prefix: str, at: int) -> int | None:
    """Where a secret begins that has its prefix there; None where what must stand before it does not."""
    if before := _BEFORE.get(prefix):
        match = before.search(text, max(at - _LONGEST_BEFORE, 0), at)
        return match.start() if match else None
    return at


def _is_inside(text: str, prefix: str, at: int) -> bool:
    """Whether what begins there is in the middle of a word."""
    return at > 0 and prefix not in _ANYWHERE and text[at - 1].isascii() and text[at - 1].isalnum()


def _may_begin_inside(text: str, prefix: str, at: int) -> bool:
    """Whether a secret may begin there although a letter is before it: the word before is short, and its beginning is
    no word's."""
    if prefix in _WORDS or (prefix.isupper() and not text[at - 1].islower()):
        return False
    return _RUN_BEFORE.search(text, max(at - _LONGEST_BEFORE - 1, 0), at) is not None


def _is_random(secret: str) -> bool:
    return sum(map(str.isdigit, secret)) >= _FEWEST_DIGITS and sum(map(str.isalnum, secret)) >= _SHORTEST_BODY


def _open_key(text: str, start: int) -> int:
    """Where a private key begins that has not ended."""
    lowest = max(start, len(text) - _LONGEST_KEY)
    begins = max(lowest, len(text.rstrip(_KEY)))
    at = text.find(KEY_HEAD, begins)
    if at < 0:
        at = text.find(PUTTY_HEAD, max(lowest, begins - len(PUTTY_HEAD)))
    return at if at >= 0 else len(text)


def _open_name(text: str) -> int:
    """Where the name begins of a secret that the text ends with or in, as far as it may be one."""
    lowest = max(len(text) - _LONGEST_NAMED, 0)
    name = _OPEN_NAME.search(text, lowest) if _KEY_WORD.search(text, lowest) else None
    return name.start() if name else len(text)
