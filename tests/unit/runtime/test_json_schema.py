"""Schemas of strangers: what is slow with them is refused or given up, and what is right stays right."""

import time
from typing import Any

import pytest

from services.runtime.json_schema import STEPS, BadSchema, BrokenSchema, JsonSchema

EVIL = "^(a+)+$"
SLOW = "a" * 40 + "!"
CPU_SECONDS = 10.0
"""Far less than what any of these would take."""


def doubling(levels: int) -> dict[str, Any]:
    defs = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)}
    return {"$defs": {**defs, f"a{levels}": {}}, "properties": {"s": {"$ref": "#/$defs/a0"}}}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"x": value}
    return value


BOTH_WAYS = {"allOf": [{"properties": {"x": {"$ref": "#"}}}] * 2}
BOMBS: list[tuple[dict[str, Any], Any]] = [
    ({"properties": {"s": {"pattern": EVIL}}}, {"s": SLOW}),
    ({"patternProperties": {EVIL: {}}}, {SLOW: 1}),
    ({"patternProperties": {EVIL: {}}, "additionalProperties": False}, {SLOW: 1}),
    ({"patternProperties": {EVIL: {}}, "unevaluatedProperties": False}, {SLOW: 1}),
    ({"propertyNames": {"pattern": EVIL}}, {SLOW: 1}),
    (doubling(40), {"s": 1}),
    (BOTH_WAYS, nested(40)),
    ({"properties": {"s": {"uniqueItems": True}}}, {"s": [{"a": n, "b": [n]} for n in range(20_000)]}),
    ({"items": {"anyOf": [{"const": n} for n in range(500)]}}, [1000] * 5000),
]


@pytest.mark.parametrize(("schema", "value"), BOMBS, ids=range(len(BOMBS)))
def test_no_schema_takes_long(schema: dict[str, Any], value: Any) -> None:
    started = time.process_time()
    JsonSchema(schema).fault(value)
    assert time.process_time() - started < CPU_SECONDS


def test_what_takes_too_much_work_is_no_right_answer() -> None:
    assert JsonSchema(doubling(40)).fault({"s": 1}) == "it takes too much work to check it against the schema"
    assert STEPS > 10_000


@pytest.mark.parametrize(
    "schema", [{"pattern": "(?=a)b"}, {"properties": {"a": {"patternProperties": {"(?<=a)b": {}}}}}]
)
def test_a_pattern_that_cannot_be_used_is_named(schema: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="RE2"):
        JsonSchema(schema)


def test_what_is_only_called_a_pattern_is_data() -> None:
    schema = {"properties": {"pattern": {"enum": [{"pattern": "("}]}}}
    assert JsonSchema(schema).fault({"pattern": {"pattern": "("}}) is None


@pytest.mark.parametrize(
    ("items", "same"), [([1, 1.0], True), ([1, True], False), ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], True), ([], False)]
)
def test_items_that_are_the_same(items: list[Any], same: bool) -> None:
    assert (JsonSchema({"uniqueItems": True}).fault(items) is not None) is same


def test_a_fault_has_its_path_and_a_missing_reference_is_told() -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": "^x"}}}
    assert JsonSchema(schema).fault({"a": "y"}) == "$.a: 'y' does not match '^x'"
    assert JsonSchema(schema).fault({"a": "xy"}) is None
    with pytest.raises(BrokenSchema):
        JsonSchema({"$ref": "https://x.example/schema"}).fault({})


def test_no_schema_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"not": deep}
    for schema in ({"type": 5}, deep):
        with pytest.raises(BadSchema):
            JsonSchema(schema)
