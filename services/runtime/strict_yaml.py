"""YAML as people write it in files: read strictly, every fault named by its line and field.

A key given twice, an alias, a key that is no word and a depth beyond DEEPEST are refused; PyYAML takes all of them.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from services.runtime.form_words import words, written

DEEPEST = 32
_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` counts from 1; 0 where it is not known. `field` is its path."""

    field: str
    message: str
    line: int = 0

    def __str__(self) -> str:
        where = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.field) if part)
        return f"{where}: {self.message}" if where else self.message


class BadYaml(ValueError):
    """The text is not YAML of the strict kind; `problems` has every fault that was found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A text as plain data, and the line of each of its fields, from 1. For a block of text, of its first line."""

    data: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The field's line, or that of the nearest field around it; 0 where the text is empty."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problems(
        self, error: ValidationError, renamed: Mapping[str, str] | None = None, form: type[BaseModel] | None = None
    ) -> list[Problem]:
        """What a model finds wrong with the data. `renamed`: fields by the names that the model has for them. `form` is
        the model, for the nearest names of fields, and the fields' own paths within unions."""
        names = renamed or {}
        found = []
        errors = error.errors(include_url=False, include_input=False)
        for each in errors:
            if each["type"] == "too_short" and any(_is_below(other["loc"], each["loc"]) for other in errors):
                continue  # too few are left, for those that are wrong do not count
            path = tuple(
                names.get(part, part) if isinstance(part, str) else part for part in written(form, each["loc"])
            )
            found.append(Problem(dotted(path), words(each, form), self.line(path)))
        return found


def read(text: str) -> YamlDocument:
    """The one document in a YAML text; its data is None where the text has none. Raises BadYaml."""
    try:
        look_over(text, yaml.SafeLoader)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            reader = _Reader(loader)
            data = reader.value(node, ()) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = error.problem or error.context or "?"
        raise BadYaml([Problem("", f"not YAML: {words}", _line(mark))]) from error
    except BadYaml:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise BadYaml([Problem("", f"not YAML: {str(error)[:200]}")]) from error
    if reader.problems:
        raise BadYaml(reader.problems)
    return YamlDocument(data, reader.lines)


def _is_below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def dotted(path: Path) -> str:
    """A path for people: `retrieval.collections[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def look_over(text: str, loader: Any) -> None:
    """Raises BadYaml for aliases, which make gigabytes of a few lines, and depths that take PyYAML minutes; what the
    loader does for what is no YAML."""
    depth = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.AliasEvent):
            raise BadYaml([Problem("", "aliases (`*name`) are not allowed", _line(event.start_mark))])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            message = f"nested too deeply: not YAML of {DEEPEST} levels at most"
            raise BadYaml([Problem("", message, _line(event.start_mark))])


def _line(mark: Any) -> int:
    """Of one of YAML's marks, which may be missing; from 1."""
    return int(mark.line) + 1 if mark else 0


class _Reader:
    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The node as plain data; notes its line."""
        block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        self.lines.setdefault(path, node.start_mark.line + (2 if block else 1))
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN:
            raise BadYaml([Problem(dotted(path), f"not YAML: the tag {node.tag}", node.start_mark.line + 1)])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._loader.construct_object(key_node)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable) or not isinstance(key, str | int | bool):
                self.problems.append(Problem(dotted(path), "a key must be a word", line))
                continue
            name = str(key).lower() if isinstance(key, bool) else str(key)
            if name in made:
                self.problems.append(Problem(dotted((*path, name)), "this key is there twice", line))
            value = self.value(value_node, (*path, name))
            if not isinstance(value_node, yaml.ScalarNode):
                self.lines[(*path, name)] = line
            made[name] = value
        return made
