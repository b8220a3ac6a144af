"""A calculator: arithmetic on numbers, nothing else, with a bound on how large they get."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.builtin.schemas import obj, text

Number = int | float
MAX_CHARACTERS = 1000
MAX_BITS = 8192
MAX_FACTORIAL = 500
MAX_DIGITS = 100

CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


def _factorial(number: Number) -> int:
    if not isinstance(number, int) or not 0 <= number <= MAX_FACTORIAL:
        raise ValueError(f"factorial takes whole numbers from 0 to {MAX_FACTORIAL}")
    return math.factorial(number)


def _round(number: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > MAX_DIGITS:
        raise ValueError(f"round takes whole numbers of digits, {MAX_DIGITS} at most")
    return round(number, digits) if digits else round(number)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs, "round": _round, "min": min, "max": max, "sqrt": math.sqrt, "exp": math.exp, "log": math.log,
    "log2": math.log2, "log10": math.log10, "sin": math.sin, "cos": math.cos, "tan": math.tan, "asin": math.asin,
    "acos": math.acos, "atan": math.atan, "atan2": math.atan2, "sinh": math.sinh, "cosh": math.cosh,
    "tanh": math.tanh, "degrees": math.degrees, "radians": math.radians, "hypot": math.hypot, "floor": math.floor,
    "ceil": math.ceil, "gcd": math.gcd, "factorial": _factorial,
}  # fmt: skip


class Calculator:
    """Evaluates an expression."""

    idempotent = True
    declaration = Declaration(
        "calculator",
        "Evaluates an arithmetic expression and gives the number. Operators: + - * / // % ** and parentheses. "
        f"Functions: {', '.join(FUNCTIONS)}. Constants: {', '.join(CONSTANTS)}. Angles are in radians.",
        obj({"expression": text("The expression, such as (3 + 4) * sqrt(2).", MAX_CHARACTERS)}, "expression"),
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return shown(evaluate(arguments["expression"]))


def evaluate(expression: str) -> Number:
    """The expression's value. Raises ToolFailed."""
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        return _checked(_value(tree.body))
    except SyntaxError as error:
        raise _wrong(f"this is no expression: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise _wrong("the expression is nested too deeply") from error
    except ZeroDivisionError as error:
        raise _wrong("division by zero") from error
    except OverflowError as error:
        raise _wrong("the result is too large") from error
    except (ValueError, TypeError) as error:
        raise _wrong(str(error)) from error  # arithmetic's own words, of the expression only


def shown(number: Number) -> str:
    """The number with at most 15 significant digits where it is not whole."""
    return str(number) if isinstance(number, int) else f"{number:.15g}"


def _wrong(message: str) -> ToolFailed:
    return ToolFailed(message, reason=Reason.INVALID_ARGUMENTS)


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _checked(number)
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return _binary(op, _value(left), _value(right))
        case ast.UnaryOp(op=unary, operand=operand) if type(unary) in UNARY:
            return _checked(UNARY[type(unary)](_value(operand)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return _checked(FUNCTIONS[name](*[_value(argument) for argument in args]))
        case ast.BinOp(op=ast.BitXor()):
            raise ValueError("^ is no operator here; powers are written **")
        case _:
            raise ValueError(f"not allowed in an expression: {ast.unparse(node)[:80]}")


def _binary(op: ast.operator, left: Number, right: Number) -> Number:
    """The result, unless it is known before that it would be too large."""
    if isinstance(left, int) and isinstance(right, int):
        if isinstance(op, ast.Pow) and abs(left) > 1 and left.bit_length() * abs(right) > 2 * MAX_BITS:
            raise OverflowError
        if isinstance(op, ast.Mult) and left.bit_length() + right.bit_length() > 2 * MAX_BITS:
            raise OverflowError
    return _checked(BINARY[type(op)](left, right))


def _checked(value: Any) -> Number:
    if isinstance(value, complex):
        raise ValueError("the result is no real number")
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise OverflowError
    if isinstance(value, float) and not math.isfinite(value):
        raise OverflowError
    if not isinstance(value, (int, float)):
        raise ValueError("the result is no number")
    return value
