"""An agent's filter, from the claims in the caller's identity token to what retrieval is asked."""

import time
from dataclasses import replace

import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from services.orchestrator.adapters.present_caller import present_caller
from services.orchestrator.adapters.retrieval_client import RetrievalClient
from services.orchestrator.agents.specs.errors import FilterUnresolved
from services.orchestrator.domain.document_filter import Condition, DocumentFilter
from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.identity import Identity
from services.runtime.time_limit import TimeLimit
from tests.fakes.identity import Keys
from tests.fakes.models import played, says, turns
from tests.fakes.search import FakeRetrieval, hit
from tests.fakes.serving import channel_for
from tests.unit.orchestrator.agents.making import ASK, agent

SPEC = "retrieval: {mode: always, collections: [cats], filter: {team: '{{ claims.team }}', media_type: text/html}}\n"
ASKED = DocumentFilter((Condition("metadata.status", ("final",)),), (Condition("document_id", ("x",)),))


def enter(keys: Keys, *claims: tuple[str, tuple[str, ...]]) -> None:
    """Be the service's side of a call, with the identity that its token has."""
    token = keys.signer.token(Identity("acme", "ann", claims=claims))
    identity = keys.verifier.verify(token)
    calls.enter(Call("/x/Y", request_id="req_1", deadline=time.monotonic() + 30, identity=identity, token=token))


async def test_both_filters_reach_retrieval(keys: Keys) -> None:
    enter(keys, ("team", ("hydro", "gates")))
    retrieval = FakeRetrieval({"cats": [hit(1, "Cats sleep.")]})
    async with channel_for(retrieval, verifier=keys.verifier) as channel:
        client = RetrievalClient(channel, TimeLimit(5))
        helper, _ = agent(turns(says("x")), SPEC, retriever=client, caller=present_caller)
        await played(helper, replace(ASK, filter=ASKED))
    assert retrieval.requests[0].filter == pb.Filter(
        must=[
            pb.Condition(field="metadata.team", any_of=["hydro", "gates"]),
            pb.Condition(field="media_type", any_of=["text/html"]),
            pb.Condition(field="metadata.status", any_of=["final"]),
        ],
        must_not=[pb.Condition(field="document_id", any_of=["x"])],
    )


async def test_a_token_without_the_claim_asks_nothing(keys: Keys) -> None:
    enter(keys, ("other", ("hydro",)))
    retrieval = FakeRetrieval({"cats": [hit(1, "Cats sleep.")]})
    async with channel_for(retrieval, verifier=keys.verifier) as channel:
        client = RetrievalClient(channel, TimeLimit(5))
        helper, _ = agent(turns(says("x")), SPEC, retriever=client, caller=present_caller)
        with pytest.raises(FilterUnresolved):
            await played(helper, ASK)
    assert retrieval.requests == []
