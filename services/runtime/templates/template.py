"""Templates of instructions and prompts: Jinja in a sandbox, with every unknown name an error. What a template is
rendered with is data, which is never read as a template."""

import traceback
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError, meta
from jinja2.exceptions import SecurityError

from services.runtime.templates.budget import budgeted
from services.runtime.templates.sandbox import CountingSandbox

LONGEST = 1 << 20
FILE = "<template>"


class BadTemplate(ValueError):
    """`line` is in the template, from 1; 0 where it is not known."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


_ENVIRONMENT = CountingSandbox()


class Template:
    """A compiled template. Text without a `{` in it is itself."""

    def __init__(self, text: str) -> None:
        """Raises BadTemplate."""
        self.text = text
        self._compiled = _compile(text) if "{" in text else None

    @property
    def names(self) -> frozenset[str]:
        """The variables that it names. Raises BadTemplate."""
        if self._compiled is None:
            return frozenset()
        try:
            return frozenset(meta.find_undeclared_variables(_ENVIRONMENT.parse(self.text)))
        except TemplateError as error:
            raise BadTemplate(error.message or type(error).__name__, _line(error)) from error

    def render(self, variables: Mapping[str, Any]) -> str:
        """Raises BadTemplate, for a name that is not there, say, or where it takes too many steps."""
        if self._compiled is None:
            return self.text
        try:
            with budgeted():
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
    except (TemplateError, RecursionError, SyntaxError, MemoryError, ValueError) as error:
        raise BadTemplate(str(error)[:200] or type(error).__name__, 0) from error


def _line(error: BaseException) -> int:
    """Where in the template it happened."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return frames[-1].lineno or 0 if frames else 0
