"""Numbers that people write in groups: payment cards, and accounts by their IBAN."""

import re
from collections.abc import Iterator, Mapping

from gateway.guard.personal import checks, unlike

# What stands between groups, one or a few, of one kind or mixed.
SEPARATORS = r" ./\\_|*:\u00b7\u2022~+\t\r\n\x85\u2028\u2029-"
_BETWEEN = rf"[{SEPARATORS}]{{1,3}}"
# What never stands before a first character that has been read: patterns that begin with one are found much faster.
_EDGE = r"(?<!\d.)(?<!\d\..)"
# Of letters of other scripts and with accents none is in a hash: what is beside such a one is of a word. The B of a
# card's magnetic track begins its number.
_BESIDE_WORD = r"[^\W\d_\x00-\x7f]|[\u0300-\u036f]"
_LETTERS_BEFORE = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Fa-f]*[G-Zg-z])[A-Za-z]{2,12}\Z"
    rf"|(?:{_BESIDE_WORD})[A-Za-z]{{1,12}}\Z|%[Bb]\Z"
)
_LETTERS_AFTER = re.compile(
    r"(?=[A-Fa-f]{0,12}[G-Zg-z])[A-Za-z]{2,12}(?![A-Za-z0-9])"
    rf"|[A-Za-z]{{1,12}}(?:{_BESIDE_WORD})"
)
_FRACTION = re.compile(r"\.0{1,12}(?!\d)")
_LONGEST_LETTERS = 13
_SHORTEST_CARD, _LONGEST_CARD = 13, 19
_CARD = re.compile(rf"[2-69]{_EDGE}(?=(?:[{SEPARATORS}]{{0,3}}\d){{{_SHORTEST_CARD - 1}}})", re.ASCII | re.DOTALL)
_GROUP = re.compile(rf"(\d+)({_BETWEEN}(?=\d))?", re.ASCII)
# Of the issuers: first digits, and how many there are in all.
_ISSUERS = (
    (range(4, 5), (13, 16, 18, 19)),
    (range(51, 56), (16,)),
    (range(2221, 2721), (16,)),
    (range(34, 35), (15,)),
    (range(37, 38), (15,)),
    (range(300, 306), (14, 16)),
    (range(3095, 3096), (14, 16)),
    (range(36, 37), (14, 16)),
    (range(38, 40), (14, 16)),
    (range(6011, 6012), (16, 19)),
    (range(622, 623), (16, 17, 18, 19)),
    (range(644, 660), (16, 19)),
    (range(3528, 3590), (16, 17, 18, 19)),
    (range(62, 63), (16, 17, 18, 19)),
    (range(81, 83), (16,)),
    (range(2200, 2206), (16, 17, 18, 19)),
    (range(9792, 9793), (16,)),
    (range(50, 51), tuple(range(13, 20))),
    (range(56, 70), tuple(range(13, 20))),
)
# In one, so many digits are an id more often than a card, save of these issuers, or where a word says that it is one.
_SHORTEST_ID = 17
_LONG_ISSUERS = ("62", "5018", "5020", "5038", "5893", "6304", "6390", "6759", "6761", "6762", "6763")
_SAYS_CARD = re.compile(
    r"(?:card|karte|carte|carta|tarjeta|visa|maestro|discover|jcb|карт[аыу]|卡|カード)[^0-9]{0,10}\Z", re.IGNORECASE
)
_SEEN = 16
# Of several groups none has more digits.
_LONGEST_GROUP = 8
# Single digits and pairs are numbers of a list or a table, save where they are no more than a card has.
_SINGLE = 2
_BEFORE = re.compile(rf"\d{_BETWEEN}\Z", re.ASCII)


class Cards:
    """Payment cards: an issuer's first digits and length, Luhn, and groups as on a card, or all of one length."""

    name = "CARD"

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """Where one stands from `start` on."""
        match = _CARD.search(text, start)
        while match:
            end = _card_end(text, match.start()) if _begins(text, match.start()) else 0
            if end and (_is_id(text, match.start(), end) or unlike.dump(text, match.start(), end)):
                end = 0
            if end:
                yield match.start(), end
            match = _CARD.search(text, end or match.start() + 1)


def _begins(text: str, start: int) -> bool:
    """Whether a number may begin there: not in the middle of a word that is none of letters, as in a hash."""
    before = text[start - 1 : start]
    if not before.isascii() or not before.isalnum():
        return True
    return _LETTERS_BEFORE.search(text, max(start - _LONGEST_LETTERS, 0), start) is not None


def _ends(text: str, start: int, end: int) -> bool:
    """Whether one may end there: not where it goes on after a sign that it has within it, or as a fraction."""
    sign, after = text[end : end + 1], text[end + 1 : end + 2]
    if sign.isascii() and sign.isalnum():
        return _LETTERS_AFTER.match(text, end) is not None
    if sign == ".":
        return not (after.isascii() and after.isdigit()) or _FRACTION.match(text, end) is not None
    joined = sign in ("_", "-") and after.isascii() and after.isalnum()
    return not joined or (after.isalpha() and not text[start:end].isalpha()) or sign not in text[start:end]


def _is_part(text: str, start: int, end: int) -> bool:
    """Whether digits before it are of the same groups."""
    sign = text[max(start - 1, 0) : start]
    return text[max(start - 2, 0) : max(start - 1, 0)].isdigit() and sign in ("_", "-", "+") and sign in text[start:end]


def _card_end(text: str, start: int) -> int:
    """Where the longest card ends that begins here; 0 for none."""
    digits, end, at = "", 0, start
    lengths: list[int] = []
    separators: set[str] = set()
    while group := _GROUP.match(text, at):
        digits += group[1]
        lengths.append(len(group[1]))
        if len(digits) > _LONGEST_CARD or (lengths[0] <= _SINGLE and _BEFORE.search(text, max(start - 4, 0), start)):
            break
        last = group.end(1)
        if len(digits) >= _SHORTEST_CARD and _ends(text, start, last) and not _is_part(text, start, last):
            alone = lengths[0] > _SINGLE or (len(separators) == 1 and group[2] is None)
            if alone and _is_grouped(lengths) and _is_card(digits):
                end = group.end(1)
        if group[2] is None:
            break
        separators.add(group[2])
        at = group.end()
    return end


def _is_id(text: str, start: int, end: int) -> bool:
    digits = text[start:end]
    if end - start < _SHORTEST_ID or not digits.isdigit() or digits.startswith(_LONG_ISSUERS):
        return False
    return _SAYS_CARD.search(text, max(start - _SEEN, 0), start) is None


def _is_grouped(lengths: list[int]) -> bool:
    first, last = lengths[0], lengths[-1]
    if len(lengths) > 1 and first > _LONGEST_GROUP:
        return False
    if len(lengths) == 3 and lengths[:2] == [4, 6]:
        return last in (4, 5)
    return all(length == first for length in lengths[1:-1]) and (last <= first or lengths == [4, 4, 4, 7])


def _is_card(digits: str) -> bool:
    known = any(len(digits) in lengths and int(digits[: len(str(first[0]))]) in first for first, lengths in _ISSUERS)
    return known and checks.luhn(digits)


# The lengths of each country's IBAN.
LENGTHS: Mapping[str, int] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
_ACCOUNT = re.compile(rf"[A-Za-z]{_EDGE}[A-Za-z](?=[{SEPARATORS}]?\d[{SEPARATORS}]?\d)", re.ASCII | re.DOTALL)
_UPPER = re.compile(rf"[A-Z0-9](?:[{SEPARATORS}]{{0,3}}[A-Z0-9]){{14,32}}", re.ASCII)
# In other letters words of prose might be groups: there are four characters in each.
_ANY = re.compile(
    rf"[A-Za-z0-9]{{15,33}}|[A-Za-z0-9]{{4}}(?:[{SEPARATORS}]{{1,3}}[A-Za-z0-9]{{4}}){{3,8}}(?:[{SEPARATORS}]{{1,3}}[A-Za-z0-9]{{1,3}})?",
    re.ASCII,
)
_FEWEST_DIGITS = 8
_OTHER = re.compile(rf"[{SEPARATORS}]+")


class Accounts:
    """IBANs: the country's length, and mod 97. In small letters they are in one or in groups of four."""

    name = "IBAN"

    def find(self, text: str, start: int) -> Iterator[tuple[int, int]]:
        """Where one stands from `start` on."""
        match = _ACCOUNT.search(text, start)
        while match:
            end = _account_end(text, match)
            if end:
                yield match.start(), end
            match = _ACCOUNT.search(text, end or match.start() + 1)


def _account_end(text: str, match: re.Match[str]) -> int:
    length = LENGTHS.get(match[0].upper())
    if not length or not _begins(text, match.start()):
        return 0
    for form in (_UPPER, _ANY) if match[0].isupper() else (_ANY,):
        if (body := form.match(text, match.start())) and (end := _end_of(text, body, length)):
            return end
    return 0


def _end_of(text: str, body: re.Match[str], length: int) -> int:
    """Where the account ends that a body of groups begins with; 0 for none."""
    start = at = body.start()
    for character in body[0]:
        length -= character.isalnum()
        at += 1
        if not length:
            break
    account = _OTHER.sub("", text[start:at]).upper()
    whole = not length and _ends(text, start, at) and not _is_part(text, start, at)
    return at if whole and sum(map(str.isdigit, account)) >= _FEWEST_DIGITS and checks.mod97(account) else 0
