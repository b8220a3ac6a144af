"""What a template may cost."""

import time

import pytest

from services.orchestrator.agents.loop.prompt import PASSAGES
from services.orchestrator.agents.specs.validation import SAMPLE
from services.runtime.templates.template import BadTemplate, Template

ROUNDS, END = "{% for a in range(1000) %}", "{% endfor %}"
RECURSIVE = "{% for a in range(99) recursive %}{% if loop.depth < 9 %}{{ loop(range(99)) }}{% endif %}"
TWICE = "{% set s = [s, s] %}" * 40
SECONDS = 5.0
"""Far more than a rendering takes, and far less than one does that is not counted."""

LARGE = [
    pytest.param(ROUNDS * 3 + END * 3, id="nested loops"),
    pytest.param(ROUNDS + "{% for b in range(1000) if false %}{% endfor %}" + END, id="rounds that are left out"),
    pytest.param(ROUNDS * 2 + "{{ loop.length }}" + END * 2, id="a loop's length"),
    pytest.param(
        RECURSIVE + END,
        id="a loop that calls itself",
    ),
    pytest.param(
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}", id="recursion"
    ),
    pytest.param(ROUNDS + "{{ range(1000)|map('string')|list|length }}" + END, id="filters' rounds"),
    pytest.param(ROUNDS + "{{ range(1000)|select('odd')|list|length }}" + END, id="tests' rounds"),
    pytest.param(ROUNDS + "{% set x = [1]|map('_spent', -100000)|list %}" + ROUNDS + END * 2, id="steps given back"),
    pytest.param(ROUNDS + "{% if 1 == 2 %}{% endif %}" * 400 + END, id="a long body"),
    pytest.param("{% set s = 'x' %}" + "{% set s = s ~ s %}" * 40, id="joined texts"),
    pytest.param("{% set s = 'x' %}" + "{% set s = s + s %}" * 40, id="added texts"),
    pytest.param("{% set s = [1] %}" + "{% set s = s + s %}" * 40, id="added lists"),
    pytest.param("{% set s = 'x' %}" + "{% set s = range(1000)|join(s) %}" * 4, id="join"),
    pytest.param("{% set s = 'a' %}" + "{% set s = s|replace('a', 'aaaaaaaaaa') %}" * 12, id="replace"),
    pytest.param("{% set s = 'a' %}" + "{% set s = s.replace('a', 'aaaaaaaaaa') %}" * 12, id="the method replace"),
    pytest.param("{% set s = [1] %}" + TWICE + "{{ s }}", id="a list of lists, written"),
    pytest.param("{% set s = [1] %}" + TWICE + "{{ s|tojson }}", id="a list of lists as JSON"),
    pytest.param("{% set s = [1] %}" + TWICE + "{{ {'a': s}.items() }}", id="a list of lists in a view"),
    pytest.param("{% set s = [1] %}" + TWICE + "{% set t = s %}{% set s = [2] %}" + TWICE + "{{ s == t }}", id="equal"),
    pytest.param("{% set s = 1 %}" + TWICE.replace("[", "(").replace("]", ")") + "{{ {s: 1} }}", id="hashed"),
]
ABSENT = [
    ("{{ '{:>9999999999}'.format(1) }}", "'format' cannot be called"),
    ("{{ ('{:>9999999999}'|attr('format'))(1) }}", "'format' cannot be called"),
    ("{{ 'a'.ljust(9999999999) }}", "'ljust' cannot be called"),
    ("{{ (5).to_bytes(9999999999) }}", "'to_bytes' cannot be called"),
    ("{{ 1|round(100000000, 'ceil') }}", "'round' takes no number over 100"),
    ("{{ [1]|batch(1000000000, 1)|list }}", "'batch' takes no number over 1000"),
    ("{{ [1]|slice(1000000000)|list }}", "'slice' takes no number over 1000"),
    ("{{ [1]|tojson(1000000000) }}", "'tojson' takes no number over 8"),
]  # fmt: skip


@pytest.mark.parametrize("text", LARGE)
def test_the_steps_of_a_rendering_are_counted_wherever_they_are_taken(text: str) -> None:
    template, begun = Template(text), time.perf_counter()
    with pytest.raises(BadTemplate, match="more than 10000 steps"):
        template.render(SAMPLE)
    assert time.perf_counter() - begun < SECONDS


@pytest.mark.parametrize(("text", "words"), ABSENT)
def test_what_cannot_be_counted_is_not_there(text: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        Template(text).render(SAMPLE)


@pytest.mark.parametrize("text", ["{{ a }}" * 2000, "{% for a in b %}" * 25 + END * 25, "{{ " + "(" * 3000 + " }}"])
def test_a_template_that_cannot_be_compiled_is_broken(text: str) -> None:
    with pytest.raises(BadTemplate):
        Template(text)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{% for p in [1, 2, 3] if p > 1 %}{{ loop.index }}/{{ loop.length }}:{{ p }} {% endfor %}", "1/2:2 2/2:3 "),
        ("{% for x in [[1, [2]], 3] recursive %}{{ loop(x) if x is iterable else x }},{% endfor %}", "1,2,,,3,"),
        ("{% macro m(a) %}<{{ a }}{{ caller() }}>{% endmacro %}{% call m(1) %}b{% endcall %}", "<1b>"),
        ("{{ passages|map(attribute='title')|map('upper')|join(', ') }}", "A TITLE"),
        ("{{ passages|selectattr('number', 'gt', 0)|list|length }}", "1"),
        ("{{ passages|sort(attribute='number', reverse=true)|first|attr('x')|default('d') }}", "d"),
        ("{{ question[:4] ~ (1 + 2) }} {{ 'is' in question }} {{ {'a': 1}.get('a') }}", "What3 True 1"),
        ("{{ now.strftime('%A') }} {{ now.date() }} {{ ' x '.strip().split(',') }}", "Thursday 2024-02-29 ['x']"),
        ("{% set s %}a{% endset %}{% filter upper %}{{ s }}{% endfilter %}{{ [1, 2]|batch(2)|list }}", "A[[1, 2]]"),
    ],
)  # fmt: skip
def test_what_templates_do_they_still_do(text: str, rendered: str) -> None:
    assert Template(text).render(SAMPLE) == rendered


def test_a_prompt_of_many_long_passages_is_far_within_its_steps() -> None:
    passage = {"number": 1, "title": "T", "text": "x" * 20_000, "uri": "", "id": "p", "document_id": "d"}
    text = Template(PASSAGES).render({"passages": [passage] * 20, "question": "y" * 100_000})
    assert len(text) > 500_000


def test_each_rendering_has_steps_of_its_own() -> None:
    template = Template("{% for a in range(900) %}{{ a }}{% endfor %}")
    assert len({template.render({}) for _ in range(20)}) == 1
