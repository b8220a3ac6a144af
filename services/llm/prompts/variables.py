"""The variables that a prompt declares, and the values that they get. Pure."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.llm.prompts.errors import BadVariables
from services.runtime.spelling import nearest

MOST_ITEMS = 1000
"""Of a list."""
LARGEST = 1 << 53
Value = str | int | float | bool | list[str]
_EMPTY: Mapping[str, Any] = {"string": "", "list": []}
_SAMPLES: Mapping[str, Any] = {"string": "A text.", "integer": 1, "number": 1.5, "boolean": True, "list": ["A text."]}
_WORDS = {
    "string": "a string", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "list": f"a list of at most {MOST_ITEMS} strings",
}  # fmt: skip


class Variable(BaseModel):
    """`required`: a value has to be given; where that is not said, one without a default is. `one_of`: the only values
    that it may have."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: Literal["string", "integer", "number", "boolean", "list"] = "string"
    description: str = Field("", max_length=1000)
    default: Any = None
    required: bool | None = None
    one_of: list[Any] | None = Field(None, min_length=1, max_length=100)

    @model_validator(mode="after")
    def _consistent(self) -> "Variable":
        if self.default is not None and not self.fits(self.default):
            raise ValueError(f"default: it must be {self.form}")
        if self.one_of is not None and not all(self._typed(one) for one in self.one_of):
            raise ValueError(f"one_of: each must be {_WORDS[self.type]}")
        if self.default is not None and self.required:
            raise ValueError("required: a variable with a default has a value without being given one")
        if self.required is False and self.default is None and (self.type not in _EMPTY or self.one_of):
            raise ValueError("default: this one needs a default where it is not required")
        return self

    @property
    def needed(self) -> bool:
        """A value has to be given."""
        return self.default is None and self.required is not False

    @property
    def absent(self) -> Any:
        """The value where none is given."""
        return self.default if self.default is not None else _EMPTY.get(self.type)

    @property
    def sample(self) -> Any:
        """A value, for a trial."""
        if self.default is not None:
            return self.default
        return self.one_of[0] if self.one_of else _SAMPLES[self.type]

    @property
    def form(self) -> str:
        """In words, what its values are."""
        if self.one_of is not None:
            return "one of " + ", ".join(orjson.dumps(one).decode() for one in self.one_of)
        return _WORDS[self.type]

    def fits(self, value: Any) -> bool:
        return self._typed(value) and (self.one_of is None or value in self.one_of)

    def read(self, value: Any) -> Any:
        """The value; a text of another type's value is read as one, for many clients send nothing but texts."""
        if isinstance(value, str) and self.type != "string":
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError:
                return value
        return value

    def _typed(self, value: Any) -> bool:
        match self.type:
            case "string":
                return isinstance(value, str)
            case "boolean":
                return isinstance(value, bool)
            case "list":
                texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
                return texts and len(value) <= MOST_ITEMS
            case "integer":
                return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value) and abs(value) <= LARGEST


def _declared(given: object) -> object:
    """`name:` alone declares a text that has to be given."""
    if not isinstance(given, dict):
        return given
    return {name: {} if each is None else each for name, each in given.items()}


Name = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,63}$")]
Variables = Annotated[dict[Name, Variable], BeforeValidator(_declared), Field(max_length=64)]


def bound(prompt: str, declared: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every variable's value. Raises BadVariables."""
    for name in given:
        if name not in declared:
            near = nearest(name, declared)
            hint = f"; did you mean {near!r}?" if near else f"; it has {', '.join(declared) or 'none'}"
            raise BadVariables(prompt, f"it has no variable {name[:64]!r}{hint}", name[:64])
    values: dict[str, Any] = {}
    for name, variable in declared.items():
        value = variable.read(given.get(name))
        if value is None:
            if variable.needed:
                raise BadVariables(prompt, f"the variable {name!r} needs a value, {variable.form}", name)
            value = variable.absent
        elif not variable.fits(value):
            raise BadVariables(prompt, f"the variable {name!r} must be {variable.form}", name)
        values[name] = value
    return values
