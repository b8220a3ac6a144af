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

# Each a card or an account, whatever stands between its groups.
GROUPED = [
    *[("CARD", mark.join(("4111", "1111", "1111", "1111"))) for mark in (
        " ", "  ", "-", " - ", ".", "/", "_", "|", "\\", "*", "·", "•", ":", "~", "\t", "\n", "\r\n", "\u00a0",
        "\u202f",
        "\u2009", "\u2028", "\x85", "\u2013", "\u2011", "\u200b", " / ",
    )],
    ("CARD", "4111 1111-1111.1111"), ("CARD", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"), ("CARD", "41-11-11-11-11-11-11-11"),
    ("CARD", "3782.822463.10005"), ("CARD", "3056/930902/5904"), ("CARD", "2223 0031 2200 3222"),
    ("CARD", "3530.1113.3330.0000"), ("CARD", "6011-0009-9013-9424"), ("CARD", "6304\n0000\n0000\n0000"),
    *[("IBAN", mark.join(("DE89", "3704", "0044", "0532", "0130", "00"))) for mark in (
        " ", "-", ".", "/", "\n", "\u00a0", " - ", "_",
    )],
    ("IBAN", "DE 89 370 400 440 532 013 000"), ("IBAN", "NL91ABNA0417164300"), ("IBAN", "ch9300762011623852957"),
    ("IBAN", "NO93 8601 1117 947"), ("IBAN", "MT84MALT011000012345MTLCAST001S"),
]  # fmt: skip

# By region: how its people write numbers.
PHONES = [
    ("FR", "06 12 34 56 78"), ("FR", "06.12.34.56.78"), ("FR", "01-23-45-67-89"), ("FR", "0612345678"),
    ("DE", "030/901820"), ("DE", "0151 23456789"), ("DE", "(030) 901820"), ("DE", "01512 3456789"),
    ("GB", "07911 123456"), ("GB", "(020) 7946 0958"), ("GB", "07911123456"), ("IN", "98765 43210"),
    ("JP", "03-1234-5678"), ("AU", "0412 345 678"), ("BR", "(11) 91234-5678"), ("ES", "612 34 56 78"),
    ("IT", "347 123 4567"), ("CH", "044 668 18 00"), ("NL", "06-12345678"), ("KR", "010-1234-5678"),
    ("RU", "8 (495) 123-45-67"), ("CN", "010-62345678"), ("US", "1-800-555-0123"), ("US", "(202) 555-0123 x45"),
    ("US", "202-555-0123 ext. 12"), ("US", "+33 (0)6 12 34 56 78"), ("US", "+49 (0) 30 901820"),
    ("US", "+7 495 123-45-67"),
    ("US", "0049 30 901820"), ("US", "+55 11 91234-5678"), ("US", "+1.202.555.0123"),
]  # fmt: skip

# What is no telephone number in any of the regions that have many.
NO_PHONES = [
    "216.239.32.10", "8.8.8.8", "203.0.113.195:8080", "192.168.0.0/16", "10.0.19041.3636", "v2.16.239.3210",
    "1.2.3.4.5",
    "5.10.0-26-amd64", "2025-11-20 12:30:45", "20251120123045", "28.11.2024", "28/11/2024",
    "2025-11-20T12:30:45.123456",
    "550e8400-e29b-41d4-a716-446655440000", "12345678-1234-1234-1234-123456789012", "978-3-16-148410-0",
    "978-0-306-40615-7", "10.1000/182", "order 2025-0123-4567", "#123456789", "id=4915123456789", "1700000000.123456",
    "52.5200, 13.4050", "-33.8688 151.2093", "12 345 678", "100 000 000", "1.234.567,89", "123-456-7890123", "12-34-56",
    "00:1A:2B:3C:4D:5E", "port 49152-65535", "0.1.2.3", "1-2-3-4-5-6", "US9780306406157", "pp. 123-456",
]  # fmt: skip
REGIONS = ("US", "CN", "GB", "DE", "FR", "IN", "JP", "BR")

NO_CARDS = [
    "2019 2020 2021 2022", "1 2 3 4 5 6 7 8 9 10 11 12 13", "4.4.4.4.4.4.4.4.4.4.4.4.4.4.4.4", "2 3 5 7 11 13",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "0 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "411 11111 111 111111",
    "20251120 12304567",
]  # fmt: skip


@pytest.mark.parametrize(("category", "words"), GROUPED)
@pytest.mark.parametrize("around", ["{}", "it is {}, I think", "号码{}。", "no.\n{}\nand"])
def test_whatever_stands_between_groups(category: str, words: str, around: str) -> None:
    assert (category, words) in found(DETECTOR, around.format(words))


@pytest.mark.parametrize(("region", "words"), PHONES)
@pytest.mark.parametrize("around", ["{}", "call {}, please"])
def test_numbers_as_countries_write_them(region: str, words: str, around: str) -> None:
    assert found(PersonalData(("PHONE",), (region,)), around.format(words)) == [("PHONE", words)]


@pytest.mark.parametrize("text", NO_PHONES)
@pytest.mark.parametrize("around", ["{}", "it is {} now"])
def test_what_is_no_telephone_number(text: str, around: str) -> None:
    assert found(PersonalData(("PHONE",), REGIONS), around.format(text)) == []


@pytest.mark.parametrize("text", NO_CARDS)
def test_rows_of_numbers_are_no_card(text: str) -> None:
    assert found(PersonalData(("CARD",), ()), text) == []


def test_numbers_side_by_side_are_each_found() -> None:
    text = "020 7946 0958 / 020 7946 0959"
    assert found(DETECTOR, text) == [("PHONE", "020 7946 0958"), ("PHONE", "020 7946 0959")]


BESIDE = [
    ("PHONE", "0170 1234567 0171 7654321", ["0170 1234567", "0171 7654321"]),
    ("PHONE", "202-555-0143 202-555-0199", ["202-555-0143", "202-555-0199"]),
    ("PHONE", "202 555 0143 202 555 0199", ["202 555 0143", "202 555 0199"]),
    ("PHONE", "(202) 555-0143(202) 555-0199", ["(202) 555-0143", "(202) 555-0199"]),
    ("PHONE", "030/901820 030/901821", ["030/901820", "030/901821"]),
    ("PHONE", "06 12 34 56 78 06 12 34 56 79", ["06 12 34 56 78", "06 12 34 56 79"]),
    *[("PHONE", text.format("+49 170 1234567"), ["+49 170 1234567"]) for text in (
        "order 4711 {}", "2026 {}", "{} 2026", "4711/{}", "Tel.{}", "Tel{}", "1 2 3 {}", "{}and", "x" * 99 + "{}",
    )],
    ("PHONE", "+49 170 1234567+49 171 7654321", ["+49 170 1234567", "+49 171 7654321"]),
    *[("PHONE", text.format("0170 1234567"), ["0170 1234567"]) for text in (
        "order 4711 {}", "{} 4711", "A4 {}", "f({})", "4711/{}",
    )],
    ("PHONE", "4711 202-555-0143", ["202-555-0143"]),
    ("PHONE", "DE89370400440532013000 +49 170 1234567", ["+49 170 1234567"]),
    ("PHONE", "4111 1111 1111 1111 +49 170 1234567", ["+49 170 1234567"]),
    *[("CARD", text.format("4111111111111111"), ["4111111111111111"]) for text in (
        "Visa-{}", "{}-12/29", "card_{}_x", "{}EUR", "Visa{}", "{}.0", "{}.Thanks", "2026-{}", "{}_{{}}", "{}/12",
    )],
    ("CARD", "4111-1111-1111-1111_x", ["4111-1111-1111-1111"]),
    ("CARD", "4111 1111 1111 1111eur", ["4111 1111 1111 1111"]),
    *[("IBAN", text, [text]) for text in ("de89 3704 0044 0532 0130 00", "De89-3704-0044-0532-0130-00",
                                          "gb82 west 1234 5698 7654 32")],
    *[("IBAN", text.format("DE89370400440532013000"), ["DE89370400440532013000"]) for text in (
        "{}EUR", "IBAN{}", "iban_{}_x", "to-{}",
    )],
    ("EMAIL", "bob@corp.xn--p1ai", ["bob@corp.xn--p1ai"]), ("EMAIL", "an bob@münchen.de!", ["bob@münchen.de"]),
    ("EMAIL", "müller@corp.de", ["müller@corp.de"]), ("EMAIL", "боб@почта.рф", ["боб@почта.рф"]),
    ("EMAIL", "bob@例え.jp", ["bob@例え.jp"]),
]  # fmt: skip
NEIGHBORS = PersonalData(CATEGORIES, ("US", "DE", "FR"))


@pytest.mark.parametrize(("category", "text", "words"), BESIDE)
def test_what_stands_beside_it_hides_nothing(category: str, text: str, words: list[str]) -> None:
    assert [said for name, said in found(NEIGHBORS, text) if name == category] == words


@pytest.mark.parametrize("text", [
    "face4111111111111111", "4111111111111111.50", "4111-1111-1111-1111-22", "12-4111-1111-1111-1111",
    "no 15 people in the room were there that day", "100 200 300 202 555 0143", "12 345 678 901 234", "bob@例え",
])  # fmt: skip
def test_what_stands_beside_it_makes_nothing_of_it(text: str) -> None:
    assert found(NEIGHBORS, text) == []


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
