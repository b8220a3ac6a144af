"""The lexicon: words of the oldest attacks, by language. `lexicon.yaml` says what each list is."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.runtime import strict_yaml

FILE = Path(__file__).with_suffix(".yaml")


class Language(BaseModel):
    """The words of a language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ignore: tuple[str, ...]
    old: tuple[str, ...]
    rules: tuple[str, ...]
    reveal: tuple[str, ...]
    prompt: tuple[str, ...]
    become: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    verb_last: bool = False
    spaced: bool = True


def load(file: Path = FILE) -> Mapping[str, Language]:
    """By ISO 639-1 code. Raises BadYaml, ValidationError."""
    return TypeAdapter(dict[str, Language]).validate_python(strict_yaml.read(file.read_text("utf-8")).data)
