"""A caller's cache-control."""

import pytest

from gateway.cache.directives import EVERYTHING, Directives, read


@pytest.mark.parametrize(
    ("header", "directives"),
    [
        ("", EVERYTHING), ("public, only-if-cached, max-stale=9, immutable", EVERYTHING),
        ("no-store", Directives(reads=False, stores=False)), ("No-Cache", Directives(reads=False)),
        ("max-age=60", Directives(max_age=60)), ('max-age="60", max-age=5', Directives(max_age=5)),
        ("max-age=never", Directives(max_age=0)), ("max-age=-1", Directives(max_age=0)),
        ("exact", Directives(alike=False)), ("no-cache, no-store", Directives(reads=False, stores=False)),
    ],
)  # fmt: skip
def test_it_can_only_ask_for_less(header: str, directives: Directives) -> None:
    assert read(header) == directives
