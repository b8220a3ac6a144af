"""What the cosines of embedders are worth, and how far each is trusted with a language."""

import pytest

from services.runtime.embedders import E5, EMBEDDERS, MINILM
from services.runtime.language.script import Script


@pytest.mark.parametrize("script", Script)
def test_the_first_ones_cosines_are_the_measure(script: Script) -> None:
    assert MINILM.worth(0.25, script) == 0.25


@pytest.mark.parametrize(
    ("cosine", "script", "worth"),
    [(0.82, Script.LATIN, 0.4), (0.86, Script.CJK, 0.4), (0.80, Script.OTHER, 0.4), (1.0, Script.LATIN, 1.0)],
)
def test_cosines_that_lie_close_together_are_drawn_apart(cosine: float, script: Script, worth: float) -> None:
    assert E5.worth(cosine, script) == pytest.approx(worth)


@pytest.mark.parametrize(("text", "english", "any_language"), [("a weir", 1, 1), ("水坝", 0, 1), ("Плотина", 0, 1)])
def test_one_that_speaks_every_language_is_trusted_with_each(text: str, english: float, any_language: float) -> None:
    assert (MINILM.trust(text), E5.trust(text)) == (english, any_language)


def test_no_two_share_a_model() -> None:
    models = [model for spec in EMBEDDERS.values() for model in (spec.queries, spec.passages)]
    assert len(set(models)) == 2 * len(EMBEDDERS)
