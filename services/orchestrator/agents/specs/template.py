"""Templates of instructions and prompts: Jinja in a sandbox, with every unknown name an error."""

import traceback
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST = 1 << 20
MOST_ROUNDS = 1000
FILE = "<template>"


class BadTemplate(ValueError):
    """`line` is in the template, from 1; 0 where it is not known."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, in which a template cannot ask for much memory or time either."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if not all(isinstance(side, int | float) and abs(side) < LONGEST for side in (left, right)):
            raise SecurityError(f"{operator!r} is for small numbers only")
        if operator == "**" and abs(right) > 64:
            raise SecurityError("the exponent is too large")
        return super().call_binop(context, operator, left, right)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MOST_ROUNDS:
        raise SecurityError(f"range has at most {MOST_ROUNDS} items")
    return made


_ENVIRONMENT = _Sandbox(undefined=StrictUndefined, keep_trailing_newline=False, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.globals["range"] = _range
for _name in ("center", "indent", "pprint", "random", "urlize", "wordwrap", "filesizeformat", "xmlattr", "format"):
    _ENVIRONMENT.filters.pop(_name, None)


class Template:
    """A compiled template. Text without a `{` in it is itself."""

    def __init__(self, text: str) -> None:
        """Raises BadTemplate."""
        self._text = text
        self._compiled = _compile(text) if "{" in text else None

    def render(self, variables: Mapping[str, Any]) -> str:
        """Raises BadTemplate, for a name that is not there, say."""
        if self._compiled is None:
            return self._text
        try:
            return _joined(self._compiled.generate(variables))
        except TemplateError as error:
            raise BadTemplate(error.message or type(error).__name__, _line(error)) from error
        except Exception as error:
            raise BadTemplate(f"{type(error).__name__}: {str(error)[:200]}", _line(error)) from error


def _joined(parts: Iterable[str]) -> str:
    """The text, as long as it is not too long."""
    made: list[str] = []
    length = 0
    for part in parts:
        made.append(part)
        length += len(part)
        if length > LONGEST:
            raise SecurityError(f"the text is over {LONGEST} characters")
    return "".join(made)


@lru_cache(256)
def _compile(text: str) -> Any:
    try:
        code = _ENVIRONMENT.compile(text, FILE, FILE)
        return _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, _ENVIRONMENT.make_globals(None))
    except TemplateSyntaxError as error:
        raise BadTemplate(error.message or "not a template", error.lineno) from error
    except (TemplateError, RecursionError) as error:
        raise BadTemplate(str(error)[:200] or type(error).__name__, 0) from error


def _line(error: BaseException) -> int:
    """Where in the template it happened."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return frames[-1].lineno or 0 if frames else 0
