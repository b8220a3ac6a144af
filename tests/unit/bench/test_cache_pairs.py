"""The questions of the semantic cache's measurement."""

import pytest

from bench.cache.pairs import FITTED, HELD_OUT, LANGUAGES, groups
from gateway.cache.semantic.pairs import NAMES
from gateway.cache.semantic.verifier import read
from services.runtime.embedders import E5, MINILM


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_held_out_was_not_fitted_on(language: str) -> None:
    fitted = {text for group in groups(FITTED, language) for text in (*group.same, *group.others)}
    held_out = [text for group in groups(HELD_OUT, language) for text in (*group.same, *group.others)]
    assert len(held_out) == len(set(held_out)) == 8 * len(groups(HELD_OUT, language))
    assert fitted.isdisjoint(held_out)


@pytest.mark.parametrize("embedder", [MINILM.name, E5.name])
def test_a_verifier_is_of_the_figures_of_today(embedder: str) -> None:
    verifier = read(embedder)
    assert verifier is not None
    assert len(verifier.weights) == len(NAMES)
    assert all(0.5 < floor <= 1 for floor in verifier.floors.values())
