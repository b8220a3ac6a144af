"""The kinds of personal data that have a form of their own and, nearly all, a check digit."""

import re

from gateway.guard.personal import checks
from gateway.guard.personal.kind import Kind, written

_IBAN = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
_CARD = r"[2-6]\d{3}(?P<sep>[ -]?)\d{4}(?P=sep)\d{4}(?P=sep)\d{1,4}(?:(?P=sep)\d{3})?|3[47]\d{2}[ -]?\d{6}[ -]?\d{5}"
_NINO_PREFIXES = r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
_MONTH = r"(?:0[1-9]|1[0-2]|[2-4]\d|5[0-2]|[6-9]\d)"


def _iban(account: str) -> bool:
    return _IBAN.get(account[:2]) == len(account) and checks.mod97(account)


EMAIL = Kind("EMAIL", re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}"
    r"(?![A-Za-z0-9-])(?!\.[A-Za-z])", re.ASCII), lambda address: ".." not in address, "@")  # fmt: skip
CARD = Kind("CARD", written(_CARD), lambda number: 13 <= len(number) <= 19 and checks.luhn(number))
IBAN = Kind("IBAN", written(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}|[a-z]{2}\d{2}[a-z0-9]{11,30}"),
            lambda account: _iban(account.upper()))  # fmt: skip
CHINA = Kind("CN_ID", written(r"[1-8]\d{5}(?: ?(?:18|19|20)\d{6} ?)\d{3}[\dXx]"),
             lambda number: checks.china(number.upper()))  # fmt: skip
# Nine digits alone are too many other things.
USA = Kind("US_SSN", written(r"(?!000|666|9)\d{3}(?P<sep>[ -])(?!00)\d{2}(?P=sep)(?!0000)\d{4}"))
UK = Kind("UK_NINO", written(rf"{_NINO_PREFIXES} ?\d{{2}} ?\d{{2}} ?\d{{2}} ?[A-D]"))
GERMANY = Kind("DE_TAX_ID", written(r"[1-9]\d(?P<sep> ?)\d{3}(?P=sep)\d{3}(?P=sep)\d{3}"), checks.germany)
FRANCE = Kind("FR_NIR", written(
    rf"[12378](?P<sep> ?)\d{{2}}(?P=sep){_MONTH}(?P=sep)(?:\d{{2}}|2[AB])(?P=sep)\d{{3}}(?P=sep)\d{{3}}"
    r" ?\d{2}"),
    checks.france)  # fmt: skip
_DIGIT = "[0-9LMNP-V]"  # a letter stands for a digit where two people would have the same code
ITALY = Kind("IT_CF", written(
    rf"[A-Za-z]{{6}}{_DIGIT}{{2}}[A-EHLMPRSTa-ehlmprst]{_DIGIT}{{2}}[A-Za-z]{_DIGIT}{{3}}[A-Za-z]"),
    lambda code: checks.italy(code.upper()))  # fmt: skip
SPAIN = Kind("ES_DNI", written(r"(?:\d{8}|[XYZ]-?\d{7})-?[A-Z]"), checks.spain)
POLAND = Kind("PL_PESEL", written(r"\d{11}"), checks.poland)
INDIA = Kind("IN_AADHAAR", written(r"[2-9]\d{3}(?P<sep>[ -]?)\d{4}(?P=sep)\d{4}"), checks.india)
BRAZIL = Kind("BR_CPF", written(r"\d{3}\.\d{3}\.\d{3}-\d{2}|\d{11}"), checks.brazil)

# Where two of the same length fit, the earlier one names it.
KINDS = (EMAIL, IBAN, CARD, CHINA, FRANCE, ITALY, USA, UK, SPAIN, INDIA, BRAZIL, GERMANY, POLAND)
