"""What tokens cost."""

import pytest

from services.llm.price import Price


@pytest.mark.parametrize(
    ("prompt", "completion", "nanos"), [(0, 0, 0), (1_000_000, 0, 5), (0, 1_000_000, 7), (1, 0, 1), (10, 10, 1)]
)
def test_a_price_is_rounded_up(prompt: int, completion: int, nanos: int) -> None:
    assert Price(5, 7).nanos(prompt, completion) == nanos
