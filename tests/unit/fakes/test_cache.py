"""Checkpoints are made anew when what they are made from changes."""

from pathlib import Path

from tests.fakes.tiny_llm.cache import key_of


def test_the_key_changes_with_what_the_code_says_and_not_with_how_it_is_laid_out(tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text("x = 1")
    before = key_of([path])
    path.write_text('"""Words."""\n\nx  =  1  # more words\n')
    assert key_of([path]) == before
    path.write_text("x = 2")
    assert key_of([path]) != before
