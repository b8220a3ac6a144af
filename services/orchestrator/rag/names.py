"""What a question calls by its name: products, people, versions, whatever it is about and nothing else will do for."""

import re
from collections.abc import Iterator

from services.runtime.language.detect import language_of
from services.runtime.language.script import CJK, has_cjk

GERMAN = "de"
WRITER = "I"
"""Whoever asks in English, and no name."""
_WORD = re.compile(rf"(?:(?![{CJK}])[^\W_])(?:(?![{CJK}])[\w.'-])*")


def names(question: str) -> Iterator[str]:
    """The words of it with a capital letter or a digit: the first one, and those of German, which writes all nouns so,
    only with a digit or a capital within; any word in Latin letters among Chinese ones."""
    among_cjk = has_cjk(question)
    nouns = language_of(question) == GERMAN
    for match in _WORD.finditer(question):
        word = match[0]
        if word.partition("'")[0] == WRITER:
            continue
        capital = word[0].isupper() and match.start() > 0 and not nouns
        marked = word[0].isdigit() or any(letter.isdigit() or letter.isupper() for letter in word[1:])
        if capital or marked or among_cjk:
            yield word
