"""Which patterns allow which permissions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.authorize import allows, checked, covers, narrowed
from gateway.access.permissions import BUILT_IN
from services.runtime.errors import InvalidArgument


@pytest.mark.parametrize(
    ("pattern", "permission", "allowed"),
    [
        ("*", "models.call:rag", True),
        ("*:*", "models.call:rag", True),
        ("models.call:rag", "models.call:rag", True),
        ("models.call:rag", "models.call:rag2", False),
        ("models.call:rag*", "models.call:rag2", True),
        ("models.call:*", "models.call:", True),
        ("models.*:rag", "models.read:rag", True),
        ("models.*:rag", "models.read:other", False),
        ("admin.*:read", "admin.keys:write", False),
        ("models.call:rag", "models.call:rag*", False),
        ("models.call:a", "models.call:a:b", False),
        ("models.call:a:*", "models.call:a:b", True),
        ("models.call", "models.call:rag", False),
        ("", "models.call:rag", False),
        ("models*", "models.call:rag", False),
        ("*.call:rag", "models.call:rag", False),
        ("MODELS.call:rag", "models.call:rag", False),
    ],
)
def test_allows(pattern: str, permission: str, allowed: bool) -> None:
    assert allows(frozenset({pattern}), permission) is allowed
    assert not allows(frozenset(), permission)


@pytest.mark.parametrize(
    ("patterns", "scopes", "both"),
    [
        ({"*"}, {"models.call:rag"}, {"models.call:rag"}),
        ({"models.call:*"}, {"*"}, {"models.call:*"}),
        ({"models.call:*"}, {"models.*:rag"}, {"models.call:rag"}),
        ({"models.call:a*"}, {"models.call:ab*"}, {"models.call:ab*"}),
        ({"models.call:a*"}, {"models.call:b*"}, set()),
        ({"models.call:*", "runs.read:*"}, {"runs.*:*"}, {"runs.read:*"}),
        ({"*"}, {"*"}, {"*"}),
        ({"models.call:*", "models.call:a"}, {"*"}, {"models.call:*"}),
        ({"*"}, set(), set()),
    ],
    ids=lambda values: " ".join(sorted(values)) or "nothing",
)
def test_narrowed(patterns: set[str], scopes: set[str], both: set[str]) -> None:
    assert narrowed(patterns, scopes) == both


half = st.text("ab", max_size=3).flatmap(lambda text: st.sampled_from([text, f"{text}*"]))
pattern_of = st.one_of(st.just("*"), st.builds("{}:{}".format, half, half))
permission_of = st.builds("{}:{}".format, st.text("ab", max_size=4), st.text("ab", max_size=4))


@given(st.frozensets(pattern_of, max_size=3), st.frozensets(pattern_of, max_size=3), permission_of)
def test_narrowed_allows_what_both_allow(patterns: frozenset[str], scopes: frozenset[str], permission: str) -> None:
    both = allows(patterns, permission) and allows(scopes, permission)
    assert allows(narrowed(patterns, scopes), permission) is both


@given(st.frozensets(pattern_of, max_size=3), pattern_of, permission_of)
def test_what_is_covered_is_allowed(scopes: frozenset[str], pattern: str, permission: str) -> None:
    if covers(scopes, pattern) and allows(frozenset({pattern}), permission):
        assert allows(scopes, permission)


@pytest.mark.parametrize("good", ["*", "*:*", "models.call:rag", "models.*:*", "admin.keys:read", "models.call:a:7b*"])
def test_good_patterns(good: str) -> None:
    assert checked([good]) == {good}


@pytest.mark.parametrize(
    "bad",
    ["", ":", "models", "models.call", "models.call:", "a:b c", "a:b\n", "a*b:c", "a:*b", "A:b", "a:" + "x" * 200],
)
def test_bad_patterns(bad: str) -> None:
    with pytest.raises(InvalidArgument):
        checked([bad])


def test_there_are_not_too_many() -> None:
    with pytest.raises(InvalidArgument):
        checked(f"models.call:{number}" for number in range(101))


def test_roles_are_made_of_patterns_and_only_operators_see_to_tenants() -> None:
    for name, patterns in BUILT_IN.items():
        assert checked(patterns) == patterns
        assert allows(patterns, "admin.tenants:read") is (name == "operator")
