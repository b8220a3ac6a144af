"""The kinds of personal data that have a form of their own and, nearly all, a check digit."""

import re

from gateway.guard.personal import checks, unlike
from gateway.guard.personal.grouped import Accounts, Cards
from gateway.guard.personal.kind import Kind, written

_NINO_PREFIXES = r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
_MONTH = r"(?:0[1-9]|1[0-2]|[2-4]\d|5[0-2]|[6-9]\d)"


# Of the scripts with capitals; a host's names may be of any script, and its last one of these.
_LETTER = r"A-Za-z\u00c0-\u024f\u0370-\u052f"
# What files end with and no host does: pictures at twice the size, languages and units with a variant (`logo@2x.png`).
_FILE = (
    "(?:png|jpe?g|gif|svg|webp|avif|ico|pot?|header|catalog|service|socket|timer|mount|css|jsx?|tsx?|json|ya?ml|txt)"
)
_HOST_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
EMAIL = Kind("EMAIL", re.compile(
    rf"(?<![{_LETTER}0-9_.+%-])[{_LETTER}0-9_.+%-]{{1,64}}@(?:{_HOST_LABEL}\.){{1,8}}"
    rf"(?!{_FILE}(?![A-Za-z0-9-]))(?:xn--[A-Za-z0-9-]{{2,59}}|[A-Za-z]{{2,24}}|[\u00c0-\u024f\u0370-\u052f]{{2,24}})"
    r"(?![A-Za-z0-9-])(?!\.[A-Za-z])"), lambda address: address[0] != "@", "@", unlike=(unlike.password,))  # fmt: skip
CARD, IBAN = Cards(), Accounts()
CHINA = Kind("CN_ID", written(r"[1-8]\d{5}(?:[ -]?(?:18|19|20)\d{6}[ -]?)\d{3}[\dXx]"),
             lambda number: checks.china(number.upper()))  # fmt: skip
# Nine digits alone are too many other things.
USA = Kind("US_SSN", written(r"(?!000|666|9)\d{3}(?P<sep>[ .-])(?!00)\d{2}(?P=sep)(?!0000)\d{4}"))
UK = Kind("UK_NINO", written(
    rf"{_NINO_PREFIXES}[ .-]?\d{{2}}[ .-]?\d{{2}}[ .-]?\d{{2}}[ .-]?[A-D]|(?i:{_NINO_PREFIXES}\d{{6}}[A-D])"),
    unlike=(unlike.unnamed("nino|insurance|ni"),))  # fmt: skip
GERMANY = Kind("DE_TAX_ID", written(r"[1-9]\d(?P<sep>[ ./-]?)\d{3}(?P=sep)\d{3}(?P=sep)\d{3}"), checks.germany,
               unlike=(unlike.address,))  # fmt: skip
FRANCE = Kind("FR_NIR", written(
    rf"[12378](?P<sep>[ ./-]?)\d{{2}}(?P=sep){_MONTH}(?P=sep)(?:\d{{2}}|2[AB])(?P=sep)\d{{3}}(?P=sep)\d{{3}}"
    r"[ ./-]?\d{2}"),
    checks.france)  # fmt: skip
_DIGIT = "[0-9LMNP-V]"  # a letter stands for a digit where two people would have the same code
ITALY = Kind("IT_CF", written(
    rf"[A-Za-z]{{6}}{_DIGIT}{{2}}[A-EHLMPRSTa-ehlmprst]{_DIGIT}{{2}}[A-Za-z]{_DIGIT}{{3}}[A-Za-z]"),
    lambda code: checks.italy(code.upper()))  # fmt: skip
SPAIN = Kind("ES_DNI", written(r"(?:\d{8}|\d\d\.\d{3}\.\d{3}|[XYZxyz][ .-]?(?:\d{7}|\d\.\d{3}\.\d{3}))[ .-]?[A-Za-z]"),
             lambda number: checks.spain(number.upper()),
             unlike=(unlike.unnamed("dni|nie|nif|documento|identidad"),))  # fmt: skip
POLAND = Kind("PL_PESEL", written(r"\d{11}"), checks.poland, unlike=(unlike.moment,))
INDIA = Kind("IN_AADHAAR", written(r"[2-9]\d{3}(?P<sep>[ ./-]?)\d{4}(?P=sep)\d{4}"), checks.india,
             unlike=(unlike.moment, unlike.cloud_account, unlike.dump, unlike.of_year))  # fmt: skip
BRAZIL = Kind("BR_CPF", written(r"\d{3}(?P<sep>[ .-])\d{3}(?P=sep)\d{3}[ ./-]\d{2}|\d{9}-?\d{2}"), checks.brazil,
              unlike=(unlike.moment, unlike.address, unlike.dialled))  # fmt: skip

# Where two of the same length fit, the earlier one names it.
KINDS = (EMAIL, IBAN, CARD, CHINA, FRANCE, ITALY, USA, UK, SPAIN, INDIA, BRAZIL, GERMANY, POLAND)
