"""The catalogue's file: YAML in, entries out, each error with its line and field.

currency: USD                      # of the prices; USD unless given
default: small                     # what the name "default" stands for
models:
  - name: small
    generator: openai              # or triton, extractive
    base_url: https://llm.example/v1
    model: small-2026              # its name at the upstream; the entry's own unless given
    api_key_env: LLM_KEY           # the variable with the key, or api_key_file: a file; never the key itself
    price: {input: 0.15, output: 0.6}      # of a million tokens
    context_length: 128000
    capabilities: [tools, json_schema, logprobs]
    sampling: {temperature: 0.2, max_tokens: 1024}
    timeout: 120
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from services.orchestrator.generate.catalogue_form import CatalogueForm
from services.orchestrator.generate.entry import Entry


class BadCatalogue(ValueError):
    """The file is no catalogue; the message says where and why."""


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """What the file says."""

    entries: tuple[Entry, ...]
    default: str
    currency: str


def read(path: Path) -> CatalogueFile:
    """Raises BadCatalogue."""
    try:
        return parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalogue(f"{path} cannot be read: {error}") from error


def parse(text: str, where: str) -> CatalogueFile:
    """`where` names the text in errors. Raises BadCatalogue."""
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        _refuse_duplicates(tree, where)
        read = CatalogueForm.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadCatalogue(f"{where}, line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise BadCatalogue(f"{where}: {error}") from error
    except ValidationError as error:
        raise BadCatalogue("\n".join(_problems(error, tree, where))) from error
    names = [model.name for model in read.models]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise BadCatalogue(f"{where}, line {_line(tree, ('models', number))}: there are two models {name!r}")
    if read.default and read.default not in names:
        raise BadCatalogue(f"{where}, line {_line(tree, ('default',))}: default: there is no model {read.default!r}")
    return CatalogueFile(tuple(model.entry() for model in read.models), read.default, read.currency)


def _problems(error: ValidationError, tree: yaml.Node | None, where: str) -> Iterator[str]:
    for found in error.errors(include_url=False):
        field = ".".join(str(part) for part in found["loc"]) or "the file"
        said = found["msg"].removeprefix("Value error, ")
        yield f"{where}, line {_line(tree, found['loc'])}: {field}: {said}"


def _line(node: yaml.Node | None, place: tuple[int | str, ...]) -> int:
    """The line of that place, or of as much of the way to it as there is."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in place:
        found = _child(node, part)
        if found is None:
            break
        line, node = found
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None


def _refuse_duplicates(node: Any, where: str) -> None:
    """YAML lets a later key win in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadCatalogue(f"{where}, line {key.start_mark.line + 1}: {key.value} is given twice")
            seen.add(key.value)
            _refuse_duplicates(value, where)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_duplicates(item, where)
