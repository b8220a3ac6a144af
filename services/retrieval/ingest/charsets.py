"""The encoding of a text that does not say it and is no UTF-8: told by the language that it reads as, refused where
that is unsure.

Most encodings decode any bytes. One is believed where the text in it has the common letters of its script, or for Latin
ones the common words of a language that it is for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.retrieval.errors import EncodingUnknown

SAMPLE = 256 << 10
LEAST_LETTERS = 12
"""So many letters that are not ASCII are needed for another script."""
LEAST_WORDS = 8
"""So many words are needed for Latin script."""
LEAST_WORD_SHARE = 0.08
MARGIN = 1.25
MOST_BROKEN = 2000
"""Characters to each place where letters stand wrongly."""


@dataclass(frozen=True, slots=True)
class _Script:
    """The letters that a text in these encodings mostly has, and the least share of them among what is not ASCII."""

    encodings: tuple[str, ...]
    letters: frozenset[str]
    share: float


def _letters(first: str, last: str) -> frozenset[str]:
    return frozenset(map(chr, range(ord(first), ord(last) + 1)))


# In order: kana are in no Chinese and no Korean text.
_SCRIPTS = (
    _Script(("cp932", "euc_jp"), _letters("ぁ", "ん") | _letters("ァ", "ー") | frozenset("、。"), 0.3),
    _Script(("cp949",), _letters("가", "힣"), 0.8),
    _Script(
        ("gb18030", "big5"),
        frozenset(
            "的一是不了人在有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能好都然没日于起还发成事只"
            "作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长這國個來說們為時過學對後麼沒於還發經頭動長開無會裡與並，。、"
        ),
        0.2,
    ),
    _Script(("cp1251", "koi8_r", "cp866"), frozenset("оеаинтсрвлкмдпуяыьі"), 0.75),
    _Script(("cp1253",), frozenset("αοιετσνηυρπκμλςίόά"), 0.7),
    _Script(("cp1255",), frozenset("יוהלאתרמבנשמםד"), 0.6),
    _Script(("cp1256",), frozenset("اليمونرتبةعدسفهك"), 0.7),
    _Script(("cp874",), frozenset("านรอกเงมยลวดทสตะปบคหแจพชขใไโผ่้ิีัุู็์ื"), 0.8),
)
# The commonest words of the languages that each is for.
_WESTERN = """
    the and of to is for that with are as on it be this by from or | der die und den von zu mit das des auf für ist
    im dem nicht eine als auch es werden aus wird bei sich | le la les des et est dans pour que une du en sur par au
    il qui ne pas vous | el la los en que las un por con una para es del se no lo al como más | di il che la per una
    del un non sono è della con da i le si | de o que e do da em um para com não uma os no se na por mais as | de
    het een van en in is dat op te zijn voor met die niet aan | och att det som på är en för av med den till inte om
    ett | og det er til på en som med for af ikke den at | ja on ei se että oli hän mutta ovat myös kun
"""
_CENTRAL = """
    w na z nie jest do się i że to od po jak przez dla oraz przy | je v na se že a do si jako pro by jsou od s ve
    tak před | a az és hogy nem egy is ez meg csak vagy volt mint van | și în de la cu pe nu este sunt din care
    pentru că să mai sau | je i u na se da su za od ne koji bi kao | je v in na se da za so ki po pa
"""
_TURKISH = "ve bir bu için da ile olarak de çok daha en olan gibi kadar ne"
_LANGUAGES: Mapping[str, tuple[frozenset[str], ...]] = {
    encoding: tuple(frozenset(language.split()) for language in words.split("|"))
    for encoding, words in (("cp1252", _WESTERN), ("cp1250", _CENTRAL), ("cp1254", _TURKISH))
}
_WORD = re.compile(r"[^\W\d_]+")
_MISPLACED = re.compile(r"[a-zß-öø-ÿ][À-ÖØ-ÞŠŒŽŸ]|[^\W\d_][^\x00-\x7f\w\s’–—…“”»«·\xad][^\W\d_]")
_RUN = re.compile(r"[^\x00-\x7f\s]{3,}")
_UNKNOWN = (
    "it is no valid UTF-8, and it cannot be told in which encoding it is: save it as UTF-8, or convert it with iconv"
)


def detect(data: bytes) -> str:
    """The encoding of a text. Raises EncodingUnknown where it is unsure."""
    sample = data[:SAMPLE]
    return _by_script(sample) or _by_words(sample)


def _by_script(data: bytes) -> str:
    """The encoding in which most of what is not ASCII are the letters of a script; "" for none."""
    for script in _SCRIPTS:
        shares = {encoding: _share(script, _text(data, encoding)) for encoding in script.encodings}
        best = max(shares, key=lambda encoding: shares[encoding])
        if shares[best] >= script.share:
            return best
    return ""


def _share(script: _Script, text: str) -> float:
    """How much of what is not ASCII are letters of the script among others of it; accents stand alone."""
    count = sum(character > "\x7f" and not character.isspace() for character in text)
    if count < LEAST_LETTERS:
        return 0.0
    return sum(character in script.letters for run in _RUN.findall(text) for character in run) / count


def _by_words(data: bytes) -> str:
    """The encoding in which the text has the most of a language's words. Raises EncodingUnknown where two are near."""
    scores: dict[str, float] = {}
    texts: dict[str, str] = {}
    for encoding, languages in _LANGUAGES.items():
        texts[encoding] = text = _text(data, encoding)
        words = _WORD.findall(text.lower())
        if len(words) >= LEAST_WORDS and not _is_broken(text):
            scores[encoding] = max(sum(word in language for word in words) for language in languages) / len(words)
    best, *others = sorted(scores, key=lambda encoding: -scores[encoding]) or [""]
    if not best or scores[best] < LEAST_WORD_SHARE:
        raise EncodingUnknown(_UNKNOWN)
    if any(scores[best] < MARGIN * scores[other] and texts[other] != texts[best] for other in others):
        raise EncodingUnknown(_UNKNOWN)
    return best


def _is_broken(text: str) -> bool:
    """Whether letters stand where none do: capitals behind small letters, signs within words."""
    return len(_MISPLACED.findall(text)) > len(text) / MOST_BROKEN


def _text(data: bytes, encoding: str) -> str:
    """The text in an encoding; "" where it is none. A character that the sample ends within is left out."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        return data[: error.start].decode(encoding) if error.start >= len(data) - 4 >= 0 else ""
