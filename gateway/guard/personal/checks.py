"""Check digits. Each takes digits (and letters where the number has them) without separators."""

from datetime import date
from itertools import cycle

_VERHOEFF_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_SHIFT = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10,
    22, 25, 24, 23), strict=True))  # fmt: skip
_CHINA = "10X98765432"
_SPAIN = "TRWAGMYFPDXBNJZSQVHLCKE"


def luhn(number: str) -> bool:
    """Payment cards."""
    doubled = [int(digit) * 2 for digit in number[-2::-2]]
    return (sum(map(int, number[-1::-2])) + sum(each - 9 if each > 9 else each for each in doubled)) % 10 == 0


def mod97(account: str) -> bool:
    """IBAN, ISO 7064 mod 97-10."""
    turned = account[4:] + account[:4]
    return int("".join(str(int(each, 36)) for each in turned)) % 97 == 1


def china(number: str) -> bool:
    """Resident identity card, GB 11643: a date of birth, and ISO 7064 mod 11-2."""
    total = sum(int(digit) * weight for digit, weight in zip(number, _weights(), strict=False))
    return _CHINA[total % 11] == number[17] and is_date(number[6:14])


def _weights() -> list[int]:
    return [2 ** (17 - place) % 11 for place in range(17)]


def germany(number: str) -> bool:
    """Tax number: ISO 7064 mod 11,10; of the first ten digits one or two are there more than once."""
    counts = [number[:10].count(digit) for digit in set(number[:10])]
    if sorted(each for each in counts if each > 1) not in ([2], [3]):
        return False
    carry = 10
    for digit in number[:10]:
        carry = ((int(digit) + carry) % 10 or 10) * 2 % 11
    return (11 - carry) % 10 == int(number[10])


def france(number: str) -> bool:
    """Social security number: 97 minus the rest of the first 13, Corsica's 2A and 2B being 19 and 18."""
    first = number[:13].replace("2A", "19").replace("2B", "18")
    return first.isdigit() and 97 - int(first) % 97 == int(number[13:])


def italy(code: str) -> bool:
    """Codice fiscale: its last letter."""
    odd = sum(_ODD[each] for each in code[0:15:2])
    even = sum(int(each) if each.isdigit() else ord(each) - ord("A") for each in code[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == code[15]


def spain(number: str) -> bool:
    """DNI, and NIE with its first letter X, Y or Z."""
    digits = str("XYZ".find(number[0])) + number[1:-1] if number[0] in "XYZ" else number[:-1]
    return _SPAIN[int(digits) % 23] == number[-1]


def poland(number: str) -> bool:
    """PESEL: a date of birth whose month tells the century, and a weighted sum."""
    month = int(number[2:4])
    century = {0: 19, 1: 20, 2: 21, 3: 22, 4: 18}.get(month // 20)
    if century is None or not is_date(f"{century}{number[:2]}{month % 20:02}{number[4:6]}"):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, cycle((1, 3, 7, 9)), strict=False))
    return (total - int(number[10]) * 7 + int(number[10])) % 10 == 0


def india(number: str) -> bool:
    """Aadhaar: Verhoeff."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = int(_VERHOEFF_PRODUCT[check][int(_VERHOEFF_SHIFT[place % 8][int(digit)])])
    return check == 0


def brazil(number: str) -> bool:
    """CPF: two check digits, and not the same digit eleven times."""
    return len(set(number)) > 1 and all(_cpf(number[:place]) == int(number[place]) for place in (9, 10))


def _cpf(number: str) -> int:
    total = sum(int(digit) * weight for digit, weight in zip(reversed(number), range(2, 12), strict=False))
    return 0 if total % 11 < 2 else 11 - total % 11


def is_date(digits: str) -> bool:
    """YYYYMMDD."""
    try:
        return 1800 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year <= 2200
    except ValueError:
        return False
