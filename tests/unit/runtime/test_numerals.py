"""Numbers that callers write."""

import pytest

from services.runtime.numerals import numeral


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("1", 1), ("12", 12), ("123456789012345678", 123456789012345678), ("1234567890123456789", None),
        ("", None), ("01", None), ("00", None), ("-1", None), ("+1", None), ("1_0", None), (" 1", None), ("1 ", None),
        ("1.0", None), ("1e3", None), ("x", None), ("１", None), ("٣", None), ("²", None), ("१२", None), ("1\n", None),
    ],
)  # fmt: skip
def test_a_number_is_ascii_digits_alone(text: str, number: int | None) -> None:
    assert numeral(text) == number


def test_a_number_has_so_many_digits() -> None:
    assert (numeral("999", 3), numeral("1000", 3)) == (999, None)
