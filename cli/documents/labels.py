"""Labels that the command gives to documents: those of --meta, and those of a sidecar, a file beside the document."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from services.runtime import strict_yaml
from services.runtime.file_faults import fault as file_fault
from services.runtime.labels import RESERVED, fault, value_of
from services.runtime.strict_yaml import BadYaml

SIDECARS = (".meta.yaml", ".meta.yml", ".meta.json")
LARGEST = 64 << 10
TITLE = "title"


class BadLabels(ValueError):
    """What is wrong, in words."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A document's title, "" for its own, and its labels."""

    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def under(self, labels: Mapping[str, str]) -> "Labelled":
        """The same with these labels before its own. Raises BadLabels."""
        return Labelled(self.title, checked({**self.labels, **labels}))


def parse_labels(pairs: Sequence[str]) -> dict[str, str]:
    """The labels in KEY=VALUE texts. Raises BadLabels."""
    labels: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise BadLabels(f"{pair!r} is no label: write KEY=VALUE")
        if key in labels:
            raise BadLabels(f"the label {key!r} is there twice")
        labels[key] = value
    return checked(labels)


def checked(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels. Raises BadLabels where they pass a limit, or one has a name that sync uses itself."""
    if wrong := fault(labels):
        raise BadLabels(wrong)
    if own := next((key for key in labels if key.startswith(RESERVED)), None):
        raise BadLabels(f"the label {own!r} is none to give: what begins with {RESERVED} is Headworks' own")
    return dict(labels)


def described_by(name: str) -> str | None:
    """The name of the file that a sidecar of this name is about; None for a name that is none's."""
    own = name.rpartition("/")[2]
    ending = next((each for each in SIDECARS if own.endswith(each) and own != each), None)
    return name.removesuffix(ending) if ending else None


def read_sidecar(path: Path) -> Labelled:
    """What the sidecar of the file at `path` says. Raises BadLabels."""

    def size_of(name: str) -> int | None:
        here = path.with_name(name)
        return here.stat().st_size if here.is_file() else None

    try:
        return sidecar_of(path.name, size_of, lambda name: path.with_name(name).read_bytes())
    except OSError as error:
        raise BadLabels(f"the sidecar of {path.name} cannot be read: {file_fault(error)}") from error


def sidecar_of(name: str, size_of: Callable[[str], int | None], read: Callable[[str], bytes]) -> Labelled:
    """What the sidecar of a file says, as NAME.meta.yaml beside NAME; nothing where there is none. `size_of` is in
    bytes, None for what is not there. Raises BadLabels."""
    sizes = {each: size for ending in SIDECARS if (size := size_of(each := name + ending)) is not None}
    if not sizes:
        return Labelled()
    first, *others = sizes
    if others:
        raise BadLabels(f"there is both {first} and {others[0]}")
    if sizes[first] > LARGEST:
        raise BadLabels(f"{first} is larger than {LARGEST >> 10} KiB")
    return parse_sidecar(first, read(first))


def parse_sidecar(name: str, data: bytes) -> Labelled:
    """A sidecar's content: a flat mapping of labels, and `title`. Raises BadLabels."""
    try:
        fields = orjson.loads(data) if name.endswith(".json") else strict_yaml.read(data.decode()).data
    except (BadYaml, ValueError) as error:
        raise BadLabels(f"{name}: {error}") from error
    if fields is None:
        return Labelled()
    if not isinstance(fields, dict):
        raise BadLabels(f"{name} is no mapping of labels, such as `department: water`")
    return _labelled(name, fields)


def _labelled(name: str, fields: dict[str, Any]) -> Labelled:
    title = value_of(fields.pop(TITLE, None)) or ""
    labels: dict[str, str] = {}
    for key, each in fields.items():
        value = value_of(each)
        if value is None and each not in (None, "", []):
            raise BadLabels(f"{name}: {key} is neither a plain value nor a list of them")
        if value is not None:
            labels[key] = value
    try:
        return Labelled(title, checked(labels))
    except BadLabels as error:
        raise BadLabels(f"{name}: {error}") from error
