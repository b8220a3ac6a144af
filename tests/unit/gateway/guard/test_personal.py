"""Personal data: what is found, and what only looks like it."""

import pytest

from gateway.guard.personal.detector import CATEGORIES, PersonalData
from tests.unit.gateway.guard.scans import found, held

DETECTOR = PersonalData(CATEGORIES, ("US", "CN", "GB"))

HITS = [
    ("EMAIL", "write to Jo.Bloggs+x@mail.example.co.uk.", "Jo.Bloggs+x@mail.example.co.uk"),
    ("EMAIL", "邮箱是jo@example.com，谢谢", "jo@example.com"),
    ("EMAIL", "ｊｏ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ｊｏ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
    ("EMAIL", "jo@exam\u200bple.com", "jo@exam\u200bple.com"),
    ("CARD", "card 4111 1111 1111 1111, exp", "4111 1111 1111 1111"),
    ("CARD", "4111-1111-1111-1111", "4111-1111-1111-1111"),
    ("CARD", "5500000000000004", "5500000000000004"),
    ("CARD", "amex 378282246310005", "378282246310005"),
    ("CARD", "amex 3782 822463 10005", "3782 822463 10005"),
    ("CARD", "4222222222222", "4222222222222"),
    ("CARD", "1234 4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("CARD", "4111 1111 1111 1111 22", "4111 1111 1111 1111"),
    ("CARD", "４１１１ １１１１ １１１１ １１１１", "４１１１ １１１１ １１１１ １１１１"),
    ("CARD", "٤١١١١١١١١١١١١١١١", "٤١١١١١١١١١١١١١١١"),
    ("IBAN", "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
    ("IBAN", "to GB82WEST12345698765432.", "GB82WEST12345698765432"),
    ("IBAN", "fr1420041010050500013m02606", "fr1420041010050500013m02606"),
    ("CN_ID", "身份证11010519491231002X号", "11010519491231002X"),
    ("CN_ID", "110105 19491231 002X", "110105 19491231 002X"),
    ("US_SSN", "SSN 856-45-6789", "856-45-6789"),
    ("UK_NINO", "AB 12 34 56 C", "AB 12 34 56 C"),
    ("UK_NINO", "JG103759A", "JG103759A"),
    ("DE_TAX_ID", "Steuer-ID 86 095 742 719", "86 095 742 719"),
    ("DE_TAX_ID", "86095742719", "86095742719"),
    ("FR_NIR", "1 85 05 78 006 084 91", "1 85 05 78 006 084 91"),
    ("FR_NIR", "255081416802538", "255081416802538"),
    ("IT_CF", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ("IT_CF", "rssmra85T10a562s", "rssmra85T10a562s"),
    ("ES_DNI", "DNI 12345678Z.", "12345678Z"),
    ("ES_DNI", "NIE X-1234567-L", "X-1234567-L"),
    ("PL_PESEL", "44051401359", "44051401359"),
    ("IN_AADHAAR", "2341 2341 2346", "2341 2341 2346"),
    ("BR_CPF", "529.982.247-25", "529.982.247-25"),
    ("BR_CPF", "CPF 52998224725", "52998224725"),
    ("PHONE", "call +1 (202) 555-0123 now", "+1 (202) 555-0123"),
    ("PHONE", "+8613812345678", "+8613812345678"),
    ("PHONE", "电话13812345678。", "13812345678"),
    ("PHONE", "(202) 555-0123", "(202) 555-0123"),
    ("PHONE", "020 7946 0958", "020 7946 0958"),
    ("PHONE", "202.555.0123", "202.555.0123"),
]  # fmt: skip

NEAR = [
    "jo at example", "@jo", "jo@", "jo@localhost", "a..b@", "x@y.1", "https://example.com/@jo",
    "4111 1111 1111 1112", "4111111111111111111111", "A4111111111111111", "4111111111111111b", "1.4111111111111111",
    "1111 1111 1111 1117",  # no issuer's first digit
    "DE89 3704 0044 0532 0130 01", "DE8937040044053201300", "XX89 3704 0044 0532 0130 00",
    "110105194912310021", "11010519491331002X", "01010519491231002X",
    "666-45-6789", "000-12-3456", "123-00-4567", "123-45-0000", "900-12-3456", "856456789",
    "BG 12 34 56 C", "AB 12 34 56 E", "DA123456C",
    "86095742718", "1 85 05 78 006 084 92", "RSSMRA85T10A562T", "12345678A", "44051401358", "2341 2341 2347",
    "1341 2341 2346", "529.982.247-26", "111.111.111-11",
    "2025-11-20", "20.11.2025", "12:30:45", "1,234,567", "3.14159265", "0123456789", "order 2025550123",
    "+1 202 555 012", "12-34", "192.168.100.200", "v1.2.3-4", "2019-2024", "1 2 3 4 5 6 7",
]  # fmt: skip


@pytest.mark.parametrize(("category", "text", "words"), HITS)
def test_what_it_is(category: str, text: str, words: str) -> None:
    assert (category, words) in found(DETECTOR, text)


@pytest.mark.parametrize("text", NEAR)
def test_what_only_looks_like_it(text: str) -> None:
    assert found(DETECTOR, text) == []


@pytest.mark.parametrize("digit", range(17))
def test_one_wrong_digit_of_a_chinese_identity_number_is_seen(digit: int) -> None:
    number = "11010519491231002X"
    wrong = number[:digit] + str((int(number[digit]) + 1) % 10) + number[digit + 1 :]
    assert not [each for each in found(DETECTOR, wrong) if each[0] == "CN_ID"]


@pytest.mark.parametrize("digit", range(16))
def test_one_wrong_digit_of_a_card_is_seen(digit: int) -> None:
    number = "4111111111111111"
    wrong = number[:digit] + str((int(number[digit]) + 1) % 10) + number[digit + 1 :]
    assert found(DETECTOR, wrong) == []


def test_only_what_is_asked_for_is_found() -> None:
    assert found(PersonalData(("EMAIL",), ()), "jo@example.com 4111111111111111") == [("EMAIL", "jo@example.com")]


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("Good morning", "morning"),
        ("Good morning ", ""),
        ("Good morning, ", ""),
        ("今天天气很好", ""),
        ("see 4111 1111 ", "4111 1111 "),
        ("in 2019, ", ""),
        ("It costs ", ""),
        ("to +1 (202) ", "+1 (202) "),
        ("mail jo@exa", "jo@exa"),
    ],
)
def test_prose_is_held_back_for_a_word_at_most(text: str, back: str) -> None:
    assert held(DETECTOR, text) == back
