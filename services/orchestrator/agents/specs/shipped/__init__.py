"""The agents that come with Headworks."""

from functools import cache
from importlib import resources


@cache
def shipped() -> dict[str, str]:
    """Their specs' YAML, by name."""
    files = resources.files(__name__)
    return {
        one.name.removesuffix(".yaml"): one.read_text("utf-8")
        for one in sorted(files.iterdir(), key=lambda each: each.name)
        if one.name.endswith(".yaml")
    }
