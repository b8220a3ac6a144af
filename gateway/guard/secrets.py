"""Keys and tokens in a text, by the forms that their issuers give them."""

import re
from collections.abc import Sequence

from gateway.guard.detector import Match, Scan, Window

_EDGE = r"(?<![A-Za-z0-9])"
_FORMS = {
    "AWS_KEY": r"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    "GITHUB_TOKEN": r"(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{22,255})",
    "GITLAB_TOKEN": r"glpat-[\w-]{20,64}",
    "SLACK_TOKEN": r"xox[abeprs]-[A-Za-z0-9-]{10,250}",
    "GOOGLE_KEY": r"AIza[\w-]{35}",
    "STRIPE_KEY": r"[rs]k_live_[A-Za-z0-9]{16,247}",
    "API_KEY": r"sk-(?=[\w-]{0,40}\d)[\w-]{20,200}",
    "HUGGINGFACE_TOKEN": r"hf_[A-Za-z0-9]{30,64}",
    "HEADWORKS_KEY": r"hw_[\w-]{30,128}",
    "JWT": r"eyJ[\w-]{8,2048}\.eyJ[\w-]{8,2048}\.[\w-]{8,1024}",
    "PRIVATE_KEY": r"-----BEGIN (?:[A-Z]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[\s\\n]{0,8}[A-Za-z0-9+/=]{16,128}){1,110}"
    r"(?:[\s\\n]{0,8}[A-Za-z0-9+/=]{1,16})?(?:[\s\\n]{0,8}-----END [A-Z ]{0,50}-----)?",
}
CATEGORIES = tuple(_FORMS)
_PREFIX = re.compile(
    rf"{_EDGE}(?:A[KS]IA|AIza|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[rs]k_live_|sk-|hf_|hw_|eyJ)|-----BEGIN "
)
# Of these every secret has one.
_MARKS = ("_", "-", "AKIA", "ASIA", "AIza", "eyJ")
_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
_KEY_HEAD = "-----BEGIN "
_KEY = _WORD + "+/=\\ \t\r\n"
_LONGEST, _LONGEST_KEY, _LONGEST_PREFIX = 5200, 16_000, 16
_AFTER = 2


class Secrets:
    """`categories`: of CATEGORIES."""

    def __init__(self, categories: Sequence[str]) -> None:
        edges = {name: "" if name == "PRIVATE_KEY" else _EDGE for name in _FORMS}
        self._forms = [
            (name, re.compile(edges[name] + _FORMS[name], re.ASCII)) for name in _FORMS if name in categories
        ]

    def scan(self, window: Window) -> Scan:
        view = window.plain
        start = view.index(window.start)
        text = view.text
        open_from = len(text) if window.final else max(start, min(_open_word(text), _open_key(text, start)))
        found: list[Match] = []
        if any(map(text.__contains__, _MARKS)) and _PREFIX.search(text, start):
            found = [Match(*each.span(), name) for name, form in self._forms for each in form.finditer(text, start)]
        if found and not window.final:
            open_from = min(open_from, *(each.start for each in found if each.end > len(text) - _AFTER), open_from)
        matches = [Match(view.origin(each.start), view.end(each.end), each.category) for each in found]
        return Scan(matches, view.origin(open_from))


def _open_word(text: str) -> int:
    """Where, in the word that the text ends with, a secret may begin."""
    word = max(len(text.rstrip(_WORD)), len(text) - _LONGEST)
    prefix = _PREFIX.search(text, word)
    last = max(word, len(text) - _LONGEST_PREFIX)
    return min(prefix.start(), last) if prefix else last


def _open_key(text: str, start: int) -> int:
    """Where a private key begins that has not ended."""
    at = text.find(_KEY_HEAD, max(start, len(text.rstrip(_KEY)), len(text) - _LONGEST_KEY))
    return at if at >= 0 else len(text)
