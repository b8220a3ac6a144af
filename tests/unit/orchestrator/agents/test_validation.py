"""What may stand in a spec, and how what may not is named."""

import re
from pathlib import Path

import pytest

from services.orchestrator.agents.specs.errors import BadAgent
from services.orchestrator.agents.specs.shipped import shipped
from services.orchestrator.agents.specs.spec import GraderSpec
from services.orchestrator.agents.specs.validation import digest, parse

ROOT = Path(__file__).parents[4]
EXAMPLES = [*(ROOT / "examples" / "agents").glob("*.yaml"), ROOT / "examples" / "orders" / "refunds.yaml"]
DOCS = ROOT / "docs" / "agents.md"
FULL = """
name: analyst
description: Answers questions with tools.
model: small
instructions: |
  You are {{ agent }}.
prompt: "{{ question }}"
retrieval: {mode: tool, collections: [default, other], max_passages: 5, max_sentences: 1, caller_may_choose: false}
tools: [search, calculator, {tool: sql, database: sales}]
tool_choice: auto
output: {schema: {type: object}, name: facts, repair: 1}
limits: {steps: 8, seconds: 120, tokens: 20000, cost: 0.10, tool_calls: 20, calls: {search: 5}, repetitions: 3,
         parallel_tools: 4}
approval: {run: false, answer_below: 0.5, expires: 86400, tools: [sql]}
graders: [{grounded: {threshold: 0.7}}, answers, schema]
memory: {window_tokens: 2000, summary: true}
sampling: {temperature: 0, max_tokens: 512}
guards:
  - {guard: pii, stage: both, action: redact, restore: true}
  - {guard: injection, stage: [input, context]}
"""


def test_all_that_a_spec_may_say() -> None:
    spec = parse(FULL)
    assert (spec.retrieval.collections, spec.limits.calls, spec.output.schema_) == (
        ("default", "other"), {"search": 5}, {"type": "object"},
    )  # fmt: skip
    assert spec.graders == (
        GraderSpec(grader="grounded", threshold=0.7), GraderSpec(grader="answers"), GraderSpec(grader="schema"),
    )  # fmt: skip


def test_a_name_is_enough() -> None:
    spec = parse("name: helper")
    assert (spec.model, spec.retrieval.mode, spec.limits.steps, spec.tools) == ("default", "never", 8, ())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_shipped_agents_are_valid(name: str) -> None:
    assert parse(shipped()[name]).name == name


BAD = [
    ("", "line 1: a spec is a mapping"),
    ("- a", "line 1: a spec is a mapping"),
    ("name: [", "line 1: not YAML"),
    ("name: a\nname: b", "line 2, name: this key is there twice"),
    ("name: a\nmemory:\n  summary: true\n  summary: false", "line 4, memory.summary: this key is there twice"),
    ("name: &x a\nmodel: *x", "line 2: aliases"),
    ("name: a\n? [b]\n: c", "line 2: a key must be a word"),
    ("model: small", "name: is missing"),
    ("name: Ü", "line 1, name: "),
    ("name: a\nlimit: {}", "line 2, limit: there is no such field"),
    ("name: a\nlimits:\n  step: 3", "line 3, limits.step: there is no such field"),
    ("name: a\nlimits: {steps: 0}", "line 2, limits.steps: "),
    ("name: a\nlimits:\n  calls:\n    search: many", "line 4, limits.calls.search: "),
    ("name: a\nretrieval: {mode: sometimes}", "line 2, retrieval.mode: "),
    ("name: a\nretrieval:\n  collections:\n    - ok\n    - Not OK", "line 5, retrieval.collections[1]: "),
    (
        "name: a\nretrieval: {filter: {a: '{{ claims. }}'}}",
        "line 2, retrieval.filter: the template of 'metadata.a' is ",
    ),
    ("name: a\nretrieval: {filter: {a: '{{ claim.b }}'}}", "retrieval.filter: the template of 'metadata.a' is broken"),
    ("name: a\nretrieval: {filter: {a: ''}}", "line 2, retrieval.filter"),
    ("name: a\nretrieval: {filter: {a: []}}", "line 2, retrieval.filter"),
    ("name: a\nretrieval: {filter: {a: [[b]]}}", "line 2, retrieval.filter"),
    ("name: a\nretrieval: {filter: [a]}", "line 2, retrieval.filter"),
    ("name: a\ngraders: [truth]", "line 2, graders[0].grader: "),
    ("name: a\ngraders: [{grounded: {treshold: 1}}]", "graders[0].treshold: there is no such field"),
    ("name: a\ngraders: [answers, answers]", "one of them is there twice"),
    ("name: a\nguards: {pii: {}}", "line 2, guards: must be a list"),
    ("name: a\nguards:\n- {guard: pie}", "line 3, guards[0].guard: must be 'pii', 'terms'"),
    ("name: a\nguards:\n- {guard: pii, stage: never}", "line 3, guards[0].stage[0]: must be 'input'"),
    ("name: a\ninstructions: '{{ question'", "line 2, instructions: the template is broken in its line 1: "),
    ("name: a\ninstructions: |\n  One.\n  {{ quesion }}", "line 4, instructions: the template is broken in its line 2"),
    ("name: a\nprompt: |\n  One.\n\n  {% if %}", "line 5, prompt: the template is broken in its line 3: "),
    ("name: a\nprompt: '{{ question.__class__.__mro__ }}'", "line 2, prompt: the template is broken in its line 1"),
    ("name: a\nprompt: '{{ \"x\" * 100000000 }}'", "small numbers only"),
    ("name: a\nprompt: '{% for a in range(10000000) %}x{% endfor %}'", "at most 1000"),
    ("name: a\nprompt: '{% for a in range(999) %}{% for b in range(999) %}xx{% endfor %}{% endfor %}'", "10000 steps"),
    ("name: a\noutput:\n  schema:\n    type: thing", "output.schema: not a JSON schema: "),
    ("name: a\ndescription: " + "x" * 300_000, "at most 256 KiB"),
    ("name: a\ntools: " + "[" * 200 + "]" * 200, "nested too deeply"),
    ("name: a\ndescription: !!python/object:os.system x", "not YAML"),
    ("name: a\nsampling: {temperature: hot}", "line 2, sampling.temperature: "),
]


@pytest.mark.parametrize(("text", "words"), BAD, ids=[words for _, words in BAD])
def test_what_is_wrong_is_named_by_line_and_field(text: str, words: str) -> None:
    with pytest.raises(BadAgent) as caught:
        parse(text)
    assert words in caught.value.message
    assert caught.value.details.keys() == {"field", "line"}


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(BadAgent) as caught:
        parse(
            "name: A\nlimits: {steps: x}\nprompt: '{{ no }}'\ntool: []\noutput: {schema: {type: thing}}\ntools: [x]\n",
            lambda tools: [((0,), f"no {tools[0]}")],
        )
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3, 4, 5, 6]


def test_the_tools_are_judged_by_who_knows_them() -> None:
    with pytest.raises(BadAgent) as caught:
        parse(
            "name: a\ntools:\n  - search\n  - http_get:\n      hots: [x]\n", lambda _: [((1, "http_get", "hots"), "no")]
        )
    assert str(caught.value.problems[0]) == "line 5, tools[1].http_get.hots: no"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("instrucions: x", "instrucions: there is no such field; did you mean instructions?"),
        ("limits: {step: 3}", "limits.step: there is no such field; did you mean steps?"),
        ("output: {shema: {}}", "output.shema: there is no such field; did you mean schema?"),
        ("graders: [{grounded: {treshold: 1}}]", "treshold: there is no such field; did you mean threshold?"),
        ("sampling: {temprature: 1}", "sampling.temprature: there is no such field; did you mean temperature?"),
        ("memory: {xyz: 1}", "memory.xyz: there is no such field"),
        ("tools: search", "tools: must be a list, such as [a, b]"),
        ("limits: 3", "limits: must be a mapping, such as {name: value}"),
        ("limits: {steps: many}", "limits.steps: must be a whole number"),
        ("memory: {summary: 7}", "memory.summary: must be true, false or extract"),
        ("description: [a]", "description: must be a text"),
        ("retrieval: {collections: [Not OK]}",
         "retrieval.collections[0]: must be 1 to 64 characters of a-z, 0-9, _, -, the first of a-z, 0-9"),
        ("tool_choice: 'a b'", "tool_choice: must be 1 to 64 characters of a-z, A-Z, 0-9, _, -"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words_of_yaml(spec: str, words: str) -> None:
    with pytest.raises(BadAgent) as caught:
        parse(f"name: a\n{spec}\n")
    assert words in caught.value.message
    assert not re.search(r"tuple|dictionary|Input should|pattern|\^", caught.value.message)


TOOLS = """
tools: [calculator, {tool: current_time}, {tool: sql, database: sales, name: sales}, {mcp: wiki.1, allow: ["*"]},
        {grpc: shop.v1.Orders/GetOrder, target: shop}, {mcp: files, allow: [read, a/b]}, {tool: python, max_calls: 2}]
"""


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("approval: {tools: [calculater]}",
         "line 4, approval.tools[0]: the agent has no tool 'calculater'; did you mean calculator?"),
        ("approval:\n  tools:\n    - calculator\n    - sql", "line 7, approval.tools[1]: the agent has no tool 'sql'"),
        ("limits:\n  calls:\n    currant_time: 3",
         "line 6, limits.calls.currant_time: the agent has no tool 'currant_time'; did you mean current_time?"),
        ("tool_choice: pithon", "line 4, tool_choice: the agent has no tool 'pithon'; did you mean python?"),
        ("approval: {tools: [files_write]}", "the agent has no tool 'files_write'"),
        ("approval: {tools: [files]}", "the agent has no tool 'files'"),
        ("approval: {tools: [Orders_GetOrders]}", "did you mean Orders_GetOrder?"),
        ("approval: {tools: [search]}", "it has: calculator, current_time, sales, Orders_GetOrder, files_read, "
         "files_a_b, python, wiki_1_…"),
        ("retrieval: {mode: always}\ntool_choice: search", "line 5, tool_choice: the agent has no tool 'search'"),
    ],
)  # fmt: skip
def test_a_tool_that_the_agent_does_not_have_is_refused_wherever_it_is_named(spec: str, words: str) -> None:
    with pytest.raises(BadAgent) as caught:
        parse(f"name: a{TOOLS}{spec}\n")
    assert words in caught.value.message


def test_an_agent_without_tools_has_none_to_name() -> None:
    with pytest.raises(BadAgent) as caught:
        parse("name: a\ntool_choice: calculator\nlimits: {calls: {calculator: 1}}\napproval: {tools: [calculator]}\n")
    assert [each.field for each in caught.value.problems] == [
        "tool_choice",
        "limits.calls.calculator",
        "approval.tools[0]",
    ]
    assert all("it has: none" in each.message for each in caught.value.problems)


@pytest.mark.parametrize(
    "spec",
    [
        "approval: {tools: [calculator, current_time, sales, Orders_GetOrder]}",
        "approval: {tools: [files_read, files_a_b, python, wiki_1_any]}",
        "limits: {calls: {wiki_1_page: 3, sales: 1}}",
        "tool_choice: wiki_1_look_up",
        "tool_choice: required",
        "retrieval: {mode: tool}\ntool_choice: search\nlimits: {calls: {search: 5}}",
    ],
)
def test_a_tool_that_the_agent_may_have_can_be_named(spec: str) -> None:
    parse(f"name: a{TOOLS}{spec}\n")


def test_a_wrong_entry_is_told_once() -> None:
    wrong = "name: a\ntools: [calculater]\napproval: {tools: [calculater]}\n"
    with pytest.raises(BadAgent) as caught:
        parse(wrong, lambda _: [((0,), "there is no such tool")])
    assert [each.field for each in caught.value.problems] == ["tools[0]"]


@pytest.mark.parametrize("entry", ["search", "{tool: search, max_calls: 3}"])
def test_an_agent_that_lists_search_does_not_have_it_twice(entry: str) -> None:
    assert len(parse(f"name: a\nretrieval: {{mode: tool}}\ntools: [{entry}]\n").tool_entries) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("name: a\nmodel: b", "model: 'b' # it\n\nname: a", True),
        ("name: a", "name: a\nlimits: {steps: 8}", True),
        ("name: a\ngraders: [answers]", "name: a\ngraders: [{answers: {}}]", True),
        ("name: a", "name: a\nlimits: {steps: 7}", False),
        ("name: a", "name: a\ndescription: x", False),
    ],
)
def test_the_digest_is_of_the_meaning(one: str, other: str, same: bool) -> None:
    assert (digest(parse(one)) == digest(parse(other))) is same


@pytest.mark.parametrize("path", sorted(EXAMPLES), ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    assert parse(path.read_text("utf-8")).name == path.stem


def test_the_spec_in_the_documentation_is_valid() -> None:
    (block,) = re.findall(r"```yaml\n(name: .*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert parse(block).name == "helpdesk"
