"""Which passages say the same."""

import pytest

from services.retrieval.search.twins import Twins

NOTICE = " ".join(f"word{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(150))


@pytest.mark.parametrize(
    ("first", "second", "twins"),
    [
        ("The tank holds water.", "the tank  holds WATER", True),
        ("The tank holds 20 litres.", "The tank holds 25 litres.", False),
        ("The tank holds water.", "The tank holds oil.", False),
        (NOTICE, NOTICE.replace("wordce", "other"), True),
        (NOTICE, NOTICE.replace("wordce", "7"), False),
        (NOTICE, f"{NOTICE} and much more is said here, which is not said there at all", False),
        ("取水口建于很久以前。", "取水口建于很久以前", True),
        ("取水口建于很久以前。", "取水口建于不久以前。", False),
        ("", "...", True),
    ],
)
def test_twins(first: str, second: str, twins: bool) -> None:
    seen = Twins()
    assert not seen.seen(first)
    assert seen.seen(second) is twins
