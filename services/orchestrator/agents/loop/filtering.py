"""Which documents a run may read: its caller's filter and the agent's, which may name what is known of the caller.

A part of the agent's filter that comes to nothing is no wider filter: the run is refused.
"""

import re
from collections.abc import Mapping

from services.orchestrator.agents.specs.errors import FilterUnresolved
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.document_filter import Condition, DocumentFilter
from services.runtime.templates.budget import budgeted
from services.runtime.templates.template import BadTemplate, Template

# A claim alone: claims.NAME, or the name in quotes and brackets.
_CLAIM = re.compile(r"""\{\{\s*claims\s*(?:\.\s*([A-Za-z_][A-Za-z0-9_]*)|\[\s*(['"])([^'"\\]+)\2\s*\])\s*\}\}""")


class Claims:
    """The claims as templates see them: a text, or a list where there are several values; an unknown one is an
    error."""

    def __init__(self, claims: Mapping[str, tuple[str, ...]]) -> None:
        self._claims = claims

    def __getitem__(self, name: str) -> str | list[str]:
        values = self._claims[name]
        return values[0] if len(values) == 1 else list(values)


def filter_of(
    agent: str, given: Mapping[str, tuple[Template, ...]], asked: DocumentFilter, caller: Caller
) -> DocumentFilter:
    """What the caller has `asked` for, within what the agent's filter, by field, lets it read. All
    its templates are one rendering. Raises FilterUnresolved."""
    with budgeted():
        own = [Condition(field, _values(agent, field, templates, caller)) for field, templates in given.items()]
    return DocumentFilter((*own, *asked.must), asked.must_not, asked.any)


def _values(agent: str, field: str, templates: tuple[Template, ...], caller: Caller) -> tuple[str, ...]:
    values = [value for template in templates for value in _rendered(agent, field, template, caller)]
    if not values or not all(values):
        raise FilterUnresolved(agent, field, "it is empty")
    return tuple(dict.fromkeys(values))


def _rendered(agent: str, field: str, template: Template, caller: Caller) -> tuple[str, ...]:
    """Its value: several where it is a claim that has several."""
    if claim := _CLAIM.fullmatch(template.text.strip()):
        name = claim[1] or claim[3]
        if name not in caller.claims:
            raise FilterUnresolved(agent, field, f"the caller has no claim {name!r}")
        return caller.claims[name]
    try:
        return (template.render({"claims": Claims(caller.claims), "caller": caller.names}).strip(),)
    except BadTemplate as error:
        raise FilterUnresolved(agent, field, error.message) from error
