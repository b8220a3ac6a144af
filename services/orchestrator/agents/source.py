"""Reading a spec's YAML, so that every field can be named by its line."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.orchestrator.agents.errors import BadAgent, Problem

LARGEST = 256 << 10
DEEPEST = 32
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A spec as plain data, and the line of each of its fields, from 1. For a block of text, of its first line."""

    data: dict[str, Any]
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The field's line, or that of the nearest field around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read(text: str) -> Source:
    """The spec in a YAML text. Raises BadAgent."""
    if len(text.encode("utf-8", "replace")) > LARGEST:
        raise BadAgent([Problem("", f"a spec has at most {LARGEST >> 10} KiB")])
    try:
        _refuse_aliases(text)
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
        raise BadAgent([Problem("", f"not YAML: {words}", _line(mark))]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadAgent([Problem("", f"not YAML: {str(error)[:200]}")]) from error
    if reader.problems:
        raise BadAgent(reader.problems)
    if not isinstance(data, dict):
        raise BadAgent([Problem("", "a spec is a mapping, such as `name: helper`", 1)])
    return Source(data, reader.lines)


def _refuse_aliases(text: str) -> None:
    """Aliases could make a small text into a huge spec, and no spec needs them."""
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise BadAgent([Problem("", "aliases (`*name`) are not allowed", _line(event.start_mark))])


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
        if len(path) > DEEPEST:
            self.problems.append(Problem(dotted(path[:4]), "nested too deeply", node.start_mark.line + 1))
            return None
        block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
        self.lines.setdefault(path, node.start_mark.line + (2 if block else 1))
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


def dotted(path: Path) -> str:
    """A path for people: `retrieval.collections[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
