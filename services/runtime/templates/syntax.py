"""What is put into a template's syntax so that its renderings count their steps."""

from collections.abc import Iterable
from typing import Any

from jinja2 import nodes

from services.runtime.templates.budget import CHARACTERS

NODES = 16
"""Of a template's syntax that are one step."""
# The filters that spend steps. A template that names one only spends more.
COUNTED, SPENT, SPENT_FOR = "_counted", "_spent", "_spent_for"

_Size = tuple[int, int]
"""Of a part of a template: the nodes of its syntax, and its texts' characters."""


def count(node: nodes.Node) -> _Size:
    """Have a part of a template spend its steps; its size, as it was written."""
    sizes = {id(child): count(child) for child in node.iter_child_nodes()}
    if isinstance(node, nodes.Template | nodes.Macro | nodes.CallBlock | nodes.Block | nodes.For):
        body: list[nodes.Node] = node.body
        if steps := _steps(sizes[id(child)] for child in body):
            body.insert(0, nodes.ExprStmt(_charge(steps), lineno=node.lineno))
    if isinstance(node, nodes.For):
        node.iter = _applied(node.iter, COUNTED)
        if node.test is not None and (steps := _steps([sizes[id(node.test)]])):
            node.test = nodes.And(_charge(steps), node.test, lineno=node.lineno)
    else:
        _count_operands(node)
    text = node.data if isinstance(node, nodes.TemplateData) else node.value if isinstance(node, nodes.Const) else ""
    own = len(text) if isinstance(text, str) else 0
    return 1 + sum(size for size, _ in sizes.values()), own + sum(length for _, length in sizes.values())


def _count_operands(node: nodes.Node) -> None:
    if isinstance(node, nodes.Concat):
        node.nodes = [_applied(part, SPENT_FOR) for part in node.nodes]
    elif isinstance(node, nodes.Compare):
        node.expr = _applied(node.expr, SPENT_FOR)
        for operand in node.ops:
            operand.expr = _applied(operand.expr, SPENT_FOR)
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        node.node = _applied(node.node, SPENT_FOR)
    elif isinstance(node, nodes.Pair):
        node.key = _applied(node.key, SPENT_FOR)


def _steps(sizes: Iterable[_Size]) -> int:
    together = list(sizes)
    return sum(size for size, _ in together) // NODES + sum(length for _, length in together) // CHARACTERS


def _charge(steps: int) -> nodes.Filter:
    return _applied(nodes.Const(True), SPENT, steps)


def _applied(node: Any, name: str, *arguments: int) -> nodes.Filter:
    found = [nodes.Const(argument) for argument in arguments]
    return nodes.Filter(node, name, found, [], None, None, lineno=node.lineno)
