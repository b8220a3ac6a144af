"""Which documents a run reads: the caller's filter within the agent's."""

from collections.abc import Mapping
from dataclasses import replace

import orjson
import pytest

from services.orchestrator.agents.loop.filtering import filter_of
from services.orchestrator.agents.specs.errors import FilterUnresolved
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.document_filter import ALL, Condition, DocumentFilter
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.tools.builtin.search import SearchTool
from services.runtime.templates.template import Template
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import calls, played, says, turns
from tests.unit.orchestrator.agents.making import ASK, agent

ANN = Caller("acme", "ann", "", {"department": ("hydro",), "groups": ("a", "b"), "realm.roles": ("r", "s")})
ASKED = DocumentFilter((Condition("metadata.status", ("final",)),), (Condition("document_id", ("x.md",)),))
SPEC = "retrieval: {{mode: {}, collections: [cats], filter: {{department: '{{{{ claims.department }}}}'}}}}\n"
OWN = Condition("metadata.department", ("hydro",))


def _compiled(given: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[Template, ...]]:
    return {field: tuple(map(Template, texts)) for field, texts in given.items()}


class TestFilterOf:
    @pytest.mark.parametrize(
        ("templates", "values"),
        [
            (("plain", "plain", "other"), ("plain", "other")),
            (("{{ claims.department }}",), ("hydro",)),
            (("{{claims.groups}}", "c"), ("a", "b", "c")),
            (("{{ claims['realm.roles'] }}",), ("r", "s")),
            (('{{claims [ "realm.roles" ]}}', "c"), ("r", "s", "c")),
            (("{{ claims['realm.roles'] | first }}",), ("r",)),
            (("{{ claims['department'] ~ claims['department'] }}",), ("hydrohydro",)),
            (("{{ claims['department'] | upper }}-{{ caller.subject }}",), ("HYDRO-ann",)),
            (("{{ caller.tenant }}",), ("acme",)),
            (("{{ claims.none | default('public') }}",), ("public",)),
        ],
    )
    def test_values(self, templates: tuple[str, ...], values: tuple[str, ...]) -> None:
        assert filter_of("a", _compiled({"f": templates}), ALL, ANN).must == (Condition("f", values),)

    @pytest.mark.parametrize(
        "template",
        [
            "{{ claims.none }}", "x{{ claims.none }}", "{{ claims['none'] }}", "{{ caller.project }}", "{{ ' ' }}",
            "{% if claims.none %}x{% endif %}", "{{ caller.none }}", "{{ claims.__class__ }}", "{{ claims.groups[7] }}",
        ],
    )  # fmt: skip
    def test_what_comes_to_nothing_is_refused(self, template: str) -> None:
        with pytest.raises(FilterUnresolved, match="'f' has no value for this one"):
            filter_of("a", _compiled({"f": ("fine", template)}), ALL, ANN)

    def test_a_claim_is_no_template(self) -> None:
        caller = replace(ANN, claims={"department": ("{{ caller.subject }}",)})
        assert filter_of("a", _compiled({"f": ("{{ claims.department }}",)}), ALL, caller).must[0].any_of == (
            "{{ caller.subject }}",
        )

    def test_all_its_templates_have_the_steps_of_one_rendering(self) -> None:
        long = "{% for a in range(900) %}{{ a }}{% endfor %}"
        assert filter_of("a", _compiled({"f": (long,)}), ALL, ANN)
        with pytest.raises(FilterUnresolved, match="steps"):
            filter_of("a", _compiled({"f": (long,) * 20}), ALL, ANN)

    def test_both_must_hold(self) -> None:
        found = filter_of("a", _compiled({OWN.field: ("hydro",)}), ASKED, ANN)
        assert found == DocumentFilter((OWN, *ASKED.must), ASKED.must_not)
        either = (DocumentFilter((OWN,)), DocumentFilter())
        found = filter_of("a", _compiled({OWN.field: ("hydro",)}), DocumentFilter(any=either), ANN)
        assert found == DocumentFilter((OWN,), any=either)


async def test_the_search_before_the_answer_is_filtered() -> None:
    retriever = FakeRetriever(Found((Passage("p", "d", "T", "u", "Cats sleep.", 0, 0.5),)))
    helper, _ = agent(turns(says("x")), SPEC.format("always"), retriever=retriever, caller=lambda: ANN)
    await played(helper, replace(ASK, filter=ASKED))
    assert retriever.only == [DocumentFilter((OWN, *ASKED.must), ASKED.must_not)]


async def test_the_tool_is_filtered() -> None:
    retriever = FakeRetriever(Found((Passage("p", "d", "T", "u", "Cats sleep.", 0, 0.5),)))
    arguments = orjson.dumps({"query": "cats"}).decode()
    helper, _ = agent(
        turns(calls(("search", arguments)), says("x")), SPEC.format("tool"), SearchTool(retriever),
        retriever=retriever, caller=lambda: ANN,
    )  # fmt: skip
    await played(helper, replace(ASK, filter=ASKED))
    assert retriever.only == [DocumentFilter((OWN, *ASKED.must), ASKED.must_not)]


@pytest.mark.parametrize("mode", ["always", "tool", "never"])
async def test_a_caller_without_the_claim_is_refused_before_anything_is_asked(mode: str) -> None:
    retriever = FakeRetriever()
    helper, generator = agent(turns(says("x")), SPEC.format(mode), retriever=retriever, caller=lambda: Caller("acme"))
    with pytest.raises(FilterUnresolved, match="no claim 'department'"):
        await played(helper, ASK)
    assert (retriever.asked, generator.asked) == ([], [])
