"""Labels of documents."""

import pytest

from services.runtime.labels import number_text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (3.0, "3"),
        (-3, "-3"),
        (0.1, "0.1"),
        (1.5e-7, "1.5e-07"),
        ((1 << 53) - 1, "9007199254740991"),
        (1 << 53, "9007199254740992.0"),
        (-(1 << 53), "-9007199254740992.0"),
        (1e300, "1e+300"),
    ],
)
def test_a_number_has_one_spelling(number: float, text: str) -> None:
    assert number_text(number) == number_text(float(number)) == text
