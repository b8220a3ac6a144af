"""Policies: what is taken, what is refused, and what is said about it."""

from pathlib import Path

import pytest

from gateway.guard.finding import Action, Mode, Stage
from gateway.guard.policy import LONGEST_SPEC, parse, read
from services.runtime.errors import InvalidArgument

FULL = """
guards:
  - {guard: pii, stage: both, action: redact, restore: true, categories: [EMAIL, PHONE], regions: [DE],
     patterns: {BADGE: 'B\\d{4}'}}
  - {guard: secrets, stage: [input, output, context], action: block}
  - {guard: terms, stage: input, action: block, mode: shadow, terms: [word]}
  - {guard: injection, stage: [input, context], action: block, threshold: 0.8, when_gone: closed}
  - {guard: system_prompt, action: block}
  - {guard: links, action: redact, allowed: [example.com]}
  - {guard: length, characters: 1000}
"""


def test_all_there_is() -> None:
    pii, secrets, terms, injection, prompt, links, length = parse(FULL).guards
    assert pii.stage == {Stage.INPUT, Stage.OUTPUT}
    assert secrets.stage == set(Stage)
    assert (terms.action, terms.mode) == (Action.BLOCK, Mode.SHADOW)
    assert injection.action is Action.BLOCK
    assert prompt.stage == links.stage == length.stage == {Stage.OUTPUT}
    assert length.action is Action.BLOCK


def test_json_is_taken_and_nothing_is_no_guards() -> None:
    assert parse('{"guards": [{"guard": "secrets", "stage": "output"}]}').guards[0].action is Action.FLAG
    assert parse("").guards == ()


def test_the_shipped_policy_changes_nothing() -> None:
    guards = read(None).guards
    assert guards
    assert all(guard.mode is Mode.SHADOW and guard.action is Action.FLAG for guard in guards)


def test_a_policy_of_ones_own_file(tmp_path: Path) -> None:
    (tmp_path / "guards.yaml").write_text(FULL)
    assert len(read(tmp_path / "guards.yaml").guards) == 7


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("guards: [{guard: magic, stage: input}]", "guards.0"),
        ("guards: [{guard: pii}]", "guards.0.pii.stage"),
        ("guards: [{guard: pii, stage: []}]", "guards.0.pii.stage"),
        ("guards: [{guard: pii, stage: input, extra: 1}]", "guards.0.pii.extra"),
        ("guards: [{guard: pii, stage: input, categories: [SHOE_SIZE]}]", "categories"),
        ("guards: [{guard: pii, stage: input, patterns: {X: '('}}]", "RE2"),
        ("guards: [{guard: pii, stage: input, patterns: {X: '(a)\\1'}}]", "RE2"),
        ("guards: [{guard: injection, stage: output}]", "has no stage output"),
        ("guards: [{guard: system_prompt, stage: input}]", "has no stage input"),
        ("guards: [{guard: length, characters: 5, action: redact}]", "cannot redact"),
        ("guards: [{guard: length, characters: 0}]", "characters"),
        ("guards: [{guard: terms, stage: input}]", "neither lists nor terms"),
        ("guards: [{guard: terms, stage: input, lists: [../x]}]", "lists"),
        ("guards: 5", "guards"),
        ("[]]", "not YAML"),
        ("- a", "policy"),
        ("a: &x [1]\nguards: *x", "aliases"),
        ("guards: !!python/object/apply:os.system [ls]", "not YAML"),
        ("[" * 5000, "not YAML"),
        (" " * (LONGEST_SPEC + 1), "at most"),
        ("guards: [" + "{guard: secrets, stage: input}," * 33 + "]", "guards"),
        ("x: \x00", "not YAML"),
        ("d: 2025-99-99", "not YAML"),
    ],
)
def test_what_is_refused(spec: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse(spec)
    assert said in refused.value.message
    assert len(refused.value.message) < 600


def test_the_documents_policy_is_one() -> None:
    document = (Path(__file__).parents[4] / "docs" / "guards.md").read_text("utf-8")
    block = document.split("```yaml\n")[1].split("```")[0]
    assert len(parse(block).guards) == 7
