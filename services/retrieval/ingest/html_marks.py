"""What marks within a line of HTML say: text that is struck out, raised and lowered characters, references to notes."""

import re

from selectolax.lexbor import LexborNode

STRUCK = frozenset(("del", "s", "strike"))
SHIFTED = frozenset(("sup", "sub"))
NEAR = 6
"""Parts of the text so far by which it is told how a raised text reads behind them."""
# As ARIA, EPUB, Pandoc, MediaWiki and others name a reference to a note.
_ROLES = frozenset(("doc-noteref", "noteref"))
_CLASSES = frozenset(
    ("footnote", "footnote-ref", "footnote-reference", "footnoteref", "endnote", "noteref", "reference")
)
_NUMBER = re.compile(r"[-+−–]?\d+(?:[.,]\d+)?[-+−–]?")
_BAR = ("/", "⁄")
# A longer word is no unit and no variable: a number above it is that of a note.
_LONGEST_UNIT = 3
_LAST_WORD = re.compile(r"[^\W\d_]*\Z")
_ORDINALS = ("e", "o", "a", "º", "ª")


def shifted(node: LexborNode, before: str) -> str:
    """What a raised or lowered text reads as behind `before`, the text up to it: `10^6`, `1 1/2`, `H2O`, `word [3]`; ""
    for a reference to a note."""
    if is_note(node):
        return ""
    text = " ".join((node.text() or "").split())
    return raised(text, before, _is_numerator(node)) if node.tag == "sup" else lowered(text, before)


def raised(text: str, before: str, numerator: bool = False) -> str:
    """The same of a superscript's text."""
    last = before[-1:]
    if not text or not last or last.isspace():
        return text
    if numerator:
        return f" {text}" if last.isdigit() else text
    word = _LAST_WORD.search(before)
    letters = len(word[0]) if word else 0
    if _NUMBER.fullmatch(text):
        is_note_number = letters > _LONGEST_UNIT or not (last.isalnum() or last in ")]")
        return f" [{text}]" if is_note_number else f"^{text}"
    if text.isalpha() and len(text) == 1 and (letters == 1 or (last.isdigit() and text.lower() not in _ORDINALS)):
        return f"^{text}"
    return f" [{text}]" if text.isalpha() and len(text) == 1 and letters > _LONGEST_UNIT else text


def lowered(text: str, before: str) -> str:
    """The same of a subscript's text."""
    last = before[-1:]
    apart = last.isdigit() if text[:1].isdigit() else last.isalnum() and text[:1].isalpha()
    return f"_{text}" if apart else text


def is_note(node: LexborNode) -> bool:
    """Whether a link, or a raised text, is a reference to a note: it says so, or a raised one leads somewhere within
    the document."""
    attributes = node.attributes
    if attributes.get("role") in _ROLES or attributes.get("epub:type") in _ROLES:
        return True
    if node.tag not in SHIFTED:
        return False
    if not _CLASSES.isdisjoint((attributes.get("class") or "").lower().split()):
        return True
    link = node.parent if node.parent is not None and node.parent.tag == "a" else node.css_first("a")
    return link is not None and (is_note(link) or "#" in (link.attributes.get("href") or ""))


def _is_numerator(node: LexborNode) -> bool:
    bar = node.next
    lower = bar.next if bar is not None else None
    if bar is None or lower is None:
        return False
    return bar.tag == "-text" and (bar.text_content or "").strip() in _BAR and lower.tag == "sub"
