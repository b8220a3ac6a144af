"""From YAML to a checked spec: all that is wrong is told at once, by line and field."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from services.orchestrator.agents.specs.errors import BadAgent
from services.orchestrator.agents.specs.spec import AgentSpec, with_search
from services.orchestrator.agents.specs.structured import Checker
from services.orchestrator.domain.caller import Caller
from services.orchestrator.tools.naming import names_of
from services.runtime import strict_yaml
from services.runtime.json_schema import BadSchema
from services.runtime.strict_yaml import BadYaml, Path, Problem, YamlDocument, dotted
from services.runtime.templates.budget import budgeted
from services.runtime.templates.template import BadTemplate, Template

# Checks the spec's `tools`; gives (path below `tools`, what is wrong). By whoever knows which tools there are.
ToolCheck = Callable[[tuple[Any, ...]], list[tuple[Path, str]]]

SAMPLE: Mapping[str, Any] = {
    "question": "What is this?",
    "passages": [{"number": 1, "title": "A title", "text": "A text.", "uri": "", "id": "p1", "document_id": "d1"}],
    "now": datetime(2024, 2, 29, 12, tzinfo=UTC),
    "tenant": "tenant",
    "collection": "default",
    "collections": ["default"],
    "agent": "agent",
    "nothing_found": "I found no answer to that.",
}
LARGEST = 256 << 10
_ALIASES = {"schema_": "schema"}
_MOST = 20
CHOICES = ("auto", "none", "required")


def parse(text: str, check_tools: ToolCheck | None = None) -> AgentSpec:
    """The spec in a YAML text, its templates compiled and tried: seconds of work at worst. Raises BadAgent."""
    source = _read(text)
    problems: list[Problem] = []
    spec = _spec(source, problems)
    raw = source.data
    for field in ("instructions", "prompt"):
        if isinstance(raw.get(field), str):
            problems += _template(field, raw[field], source)
    problems += _values(spec, source)
    problems += _schema(raw, source)
    problems += _filter(spec, source)
    tools = raw.get("tools")
    if check_tools is not None and isinstance(tools, list):
        found = check_tools(tuple(tools))
        problems += [_problem(source, ("tools", *path), message) for path, message in found]
    problems += _references(raw, source)
    if problems:
        raise BadAgent(sorted(problems, key=lambda each: each.line)[:_MOST])
    assert spec is not None  # noqa: S101 (there would be a problem)
    spec.compile()
    return spec


def digest(spec: AgentSpec) -> str:
    """SHA-256 of what the spec means, in hexadecimal. That of a spec from before there was `a2a` stays."""
    meaning = spec.model_dump(mode="json", exclude=None if spec.a2a else {"a2a"})
    return hashlib.sha256(orjson.dumps(meaning, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _read(text: str) -> YamlDocument:
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise BadAgent([Problem("", f"a spec has at most {LARGEST >> 10} KiB")])
    try:
        source = strict_yaml.read(text)
    except BadYaml as error:
        raise BadAgent(error.problems) from error
    if not isinstance(source.data, dict):
        raise BadAgent([Problem("", "a spec is a mapping, such as `name: helper`", 1)])
    return source


def _spec(source: YamlDocument, problems: list[Problem]) -> AgentSpec | None:
    try:
        return AgentSpec.model_validate(source.data)
    except ValidationError as error:
        problems += source.problems(error, _ALIASES, AgentSpec)
        return None


def _problem(source: YamlDocument, path: Path, message: str) -> Problem:
    return Problem(dotted(path), message, source.line(path))


def _template(field: str, text: str, source: YamlDocument) -> list[Problem]:
    try:
        Template(text).render(SAMPLE)
    except BadTemplate as error:
        line = source.line((field,)) + max(error.line, 1) - 1
        return [Problem(field, f"the template is broken in its line {error.line}: {error.message}", line)]
    return []


def _values(spec: AgentSpec | None, source: YamlDocument) -> list[Problem]:
    """Values for a prompt that could not be rendered."""
    named = spec.named_prompt if spec else None
    try:
        if named is not None:
            named.values(SAMPLE)
    except BadTemplate as error:
        return [_problem(source, ("instructions", "variables"), f"a template is broken: {error.message}")]
    return []


def prompt_problem(text: str, message: str) -> Problem:
    """What is wrong with the prompt that a spec names."""
    return _problem(strict_yaml.read(text), ("instructions", "prompt"), message)


def _filter(spec: AgentSpec | None, source: YamlDocument) -> list[Problem]:
    """Templates of the filter that could not be rendered whatever the caller's claims are."""
    sample = {"claims": _AnyClaim(), "caller": Caller("tenant", "subject", "project").names}
    problems: list[Problem] = []
    with budgeted():
        for field, templates in spec.retrieval.filter.items() if spec else ():
            for text in templates:
                try:
                    Template(text).render(sample)
                except BadTemplate as error:
                    message = f"the template of {field!r} is broken: {error.message}"
                    problems.append(_problem(source, ("retrieval", "filter"), message))
    return problems


class _AnyClaim:
    """Has every claim."""

    def __getitem__(self, name: str) -> str:
        return name


def _references(raw: Mapping[str, Any], source: YamlDocument) -> list[Problem]:
    """Names of tools that the spec does not have: whoever wrote one believes that it holds for a tool."""
    tools = raw.get("tools")
    retrieval = raw.get("retrieval")
    mode = retrieval.get("mode") if isinstance(retrieval, dict) else None
    names = names_of(with_search(tools if isinstance(tools, list) else (), mode))
    return [_problem(source, path, fault) for path, name in _named_tools(raw) if (fault := names.fault(name))]


def _named_tools(raw: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Where a spec names its own tools, and as what."""
    choice = raw.get("tool_choice")
    if isinstance(choice, str) and choice not in CHOICES:
        yield ("tool_choice",), choice
    approval, limits = raw.get("approval"), raw.get("limits")
    approved = approval.get("tools") if isinstance(approval, dict) else None
    for number, name in enumerate(approved if isinstance(approved, list) else ()):
        yield ("approval", "tools", number), str(name)
    calls = limits.get("calls") if isinstance(limits, dict) else None
    for name in calls if isinstance(calls, dict) else ():
        yield ("limits", "calls", name), name


def _schema(raw: Mapping[str, Any], source: YamlDocument) -> list[Problem]:
    output = raw.get("output")
    schema = output.get("schema") if isinstance(output, dict) else None
    if not isinstance(schema, dict):
        return []
    try:
        Checker(schema)
    except BadSchema as error:
        return [_problem(source, ("output", "schema"), str(error))]
    return []
