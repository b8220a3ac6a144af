"""Jinja's sandbox, in which a template cannot ask for much memory or time either: all that it does is counted.

Loops count their rounds, and the bodies of loops, macros and blocks what is written in them; calls, filters, tests,
comparisons and joined texts count by the size of what they are of. What no count holds for is not there.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, time
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import BlockReference, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.runtime.templates.budget import (
    CHARACTERS,
    counted,
    spend,
    spend_for,
    spend_for_items,
)
from services.runtime.templates.syntax import COUNTED, SPENT, SPENT_FOR, count

Function = Callable[..., Any]
LARGEST_NUMBER = 1 << 20
MOST_ROUNDS = 1000
LONGEST_TIME_FORMAT = 256
MOST_TOKENS = 4000
"""Of a template: one of more takes long to be compiled."""

_ABSENT = ("center", "indent", "pprint", "random", "urlize", "wordwrap", "filesizeformat", "xmlattr", "format")
# What filters cost beside one step: nothing, a step an item, or that and a step for all that is in the items.
_CONSTANT = frozenset({"attr", "count", "d", "default", "first", "items", "last", "length", "safe"})
_BY_ITEMS = frozenset({"batch", "list", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "slice"})
_BY_BOTH = frozenset({"dictsort", "groupby", "join", "max", "min", "sort", "sum", "unique"})
_LARGEST_ARGUMENT = {"batch": 1000, "slice": 1000, "round": 100, "tojson": 8}
_TYPE_TESTS = frozenset({
    "boolean", "callable", "defined", "escaped", "false", "filter", "float", "integer", "iterable", "mapping", "none",
    "number", "sameas", "sequence", "string", "test", "true", "undefined",
})  # fmt: skip

_TEXT_METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdecimal", "isdigit",
    "islower", "isnumeric", "isspace", "istitle", "isupper", "join", "lower", "lstrip", "partition", "removeprefix",
    "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith",
    "strip", "swapcase", "title", "upper",
})  # fmt: skip
_TIME_METHODS = frozenset({
    "ctime", "date", "isocalendar", "isoformat", "isoweekday", "strftime", "time", "timestamp", "timetuple", "weekday",
})  # fmt: skip
_METHODS: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (str, _TEXT_METHODS),
    (dict, frozenset({"get", "items", "keys", "values"})),
    ((list, tuple, range), frozenset({"count", "index"})),
    ((date, time), _TIME_METHODS),
    (LoopContext, frozenset({"changed", "cycle"})),
)


class CountingSandbox(ImmutableSandboxedEnvironment):
    """The environment that all templates are compiled in and rendered by; to be rendered they need a budget."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, optimized=False, finalize=_spent_for
        )
        self.globals.clear()
        self.globals["range"] = _range
        for name in _ABSENT:
            self.filters.pop(name, None)
        self.filters = {name: _filter(name, function) for name, function in self.filters.items()}
        self.tests = {name: _test(name, cast(Function, function)) for name, function in self.tests.items()}
        self.filters |= {COUNTED: pass_context(_rounds), SPENT: pass_context(_spent), SPENT_FOR: _spent_for}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            for side in (left, right):
                if isinstance(side, str):
                    spend(1 + len(side) // CHARACTERS)
                else:
                    spend_for_items(side)
            return super().call_binop(context, operator, left, right)
        if not all(isinstance(side, int | float) and abs(side) < LARGEST_NUMBER for side in (left, right)):
            raise SecurityError(f"{operator!r} is for small numbers only")
        if operator == "**" and abs(right) > 64:
            raise SecurityError("the exponent is too large")
        return super().call_binop(context, operator, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, tuple):
            raise SecurityError("a tuple is no key")
        return super().getitem(obj, argument)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 (as the base has it)
        spend(1)
        if isinstance(__obj, LoopContext):
            args = (counted(args[0]), *args[1:]) if args else args
        elif not isinstance(__obj, Macro | BlockReference) and __obj is not _range:
            _check_method(__obj, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        return TokenStream(_few(super()._tokenize(source, name, filename, state)), name, filename)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        count(tree)
        tree.set_environment(self)
        return tree


def _few(tokens: Iterable[Token]) -> Iterator[Token]:
    """The tokens. Raises TemplateSyntaxError where there are too many."""
    for number, token in enumerate(tokens):
        if number >= MOST_TOKENS:
            raise TemplateSyntaxError(f"a template has at most {MOST_TOKENS} tokens", token.lineno)
        yield token


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > MOST_ROUNDS:
        raise SecurityError(f"range has at most {MOST_ROUNDS} items")
    return made


def _check_method(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Spend what it costs to call a value's method. Raises SecurityError for one whose cost is not known."""
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if not any(isinstance(owner, types) and name in names for types, names in _METHODS):
        raise SecurityError(f"{name or type(method).__name__!r} cannot be called in a template")
    if name == "strftime" and len(str(args[:1])) > LONGEST_TIME_FORMAT:
        raise SecurityError(f"the format of a time has at most {LONGEST_TIME_FORMAT} characters")
    if not isinstance(owner, str | LoopContext) and name in ("get", "items", "keys", "values"):
        spend_for((args, kwargs))
        return
    spend_for((args, kwargs), _longer(args, kwargs) if isinstance(owner, str) else 1)
    spend_for(owner, _longer(args, kwargs))


def _longer(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """How much more is to be done for each step of a value where these texts go with it."""
    return 1 + sum(len(each) for each in (*args, *kwargs.values()) if isinstance(each, str)) // 16


def _filter(name: str, function: Function) -> Function:
    """The filter, which spends what it costs before it is used, or while its items are read."""
    pass_on = _passed(function)
    most = _LARGEST_ARGUMENT.get(name)
    deep = name not in _CONSTANT and name not in _BY_ITEMS

    def use(context: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        times = _longer(args, kwargs)
        if args or kwargs:
            spend_for((args, kwargs))
        if most is not None:
            numbers = [each for each in (*args, *kwargs.values()) if isinstance(each, int | float)]
            if any(abs(number) > most for number in numbers):
                raise SecurityError(f"the filter {name!r} takes no number over {most}")
            times += sum(int(abs(number)) for number in numbers) if name == "tojson" else 0
            spend(sum(int(abs(number)) for number in numbers))
        if isinstance(value, Iterator):
            value = counted(value, times, deep=deep)
        elif name in _CONSTANT:
            spend(1)
        else:
            if not deep or name in _BY_BOTH:
                spend_for_items(value, times)
            if deep:
                spend_for(value, times)
        return function(*pass_on(context), value, *args, **kwargs)

    return pass_context(use)


def _test(name: str, function: Function) -> Function:
    pass_on = _passed(function)

    def use(context: Any, value: Any, *args: Any) -> Any:
        if name in _TYPE_TESTS:
            spend(1)
        else:
            spend_for((value, *args))
        return function(*pass_on(context), value, *args)

    return pass_context(use)


def _passed(function: Function) -> Callable[[Any], tuple[Any, ...]]:
    """What a filter or a test wants before its value, of the context."""
    wanted = getattr(getattr(function, "jinja_pass_arg", None), "name", "")
    found: dict[str, Callable[[Any], tuple[Any, ...]]] = {
        "context": lambda context: (context,),
        "eval_context": lambda context: (context.eval_ctx,),
        "environment": lambda context: (context.environment,),
    }
    return found.get(wanted, lambda context: ())


@pass_context
def _spent_for(context: Any, value: Any) -> Any:
    """A value that is put out, joined or compared."""
    spend_for(value)
    return value


def _rounds(context: Any, items: Any) -> Iterator[Any]:
    spend(1)
    return counted(items)


def _spent(context: Any, value: Any, steps: int) -> Any:
    spend(max(steps, 1))
    return value
