"""How one tenant may try to reach what is another's, for every method that there is."""

from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from headworks.gateway.v1 import guard_service_pb2 as guard
from headworks.gateway.v1 import identity_service_pb2 as identity
from headworks.orchestrator.v1 import agent_service_pb2 as agents
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs
from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1 import session_service_pb2 as sessions
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval

from gateway.identity.refresh_tokens import RefreshTokens
from services.runtime.identity import Identity
from tests.fakes.retrieval import ingest_requests
from tests.integration.gateway.isolation.admin import ADMIN
from tests.integration.gateway.isolation.attempts import OK, Attempt, attempt
from tests.integration.gateway.isolation.world import OWNER, World, body

QUESTION = "When does the sluice open?"


def by_run(form: Any, ends: str, **fields: Any) -> list[Attempt]:
    return [attempt(lambda world: form(run_id=world.run_id, **fields), ends)]


def run(**fields: Any) -> runs.RunRequest:
    return runs.RunRequest(messages=[run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=QUESTION)], **fields)


def chat(**fields: Any) -> Message:
    made: Message = body(**({"messages": [{"role": "user", "content": QUESTION}]} | fields))
    return made


RUNS: dict[str, list[Attempt]] = {
    "Run": [
        attempt(run(model="keeper"), "MODEL_NOT_FOUND"),
        attempt(run(model="keeper@1"), "MODEL_NOT_FOUND"),
        attempt(run(model="rag", collection="docs"), "COLLECTION_NOT_FOUND"),
        attempt(run(model="rag", collection="docs", session_id="s1"), "COLLECTION_NOT_FOUND", rank=1),
    ],
    "Attach": by_run(runs.AttachRequest, "RUN_NOT_FOUND"),
    "Cancel": by_run(runs.CancelRequest, "RUN_NOT_FOUND"),
    "Decide": by_run(runs.DecideRequest, "RUN_NOT_FOUND", approval_id="appr_1", approved=True),
    "GetRun": by_run(runs.GetRunRequest, "RUN_NOT_FOUND"),
    "ListRuns": [attempt(runs.ListRunsRequest(), OK), attempt(runs.ListRunsRequest(session_id="s1"), OK)],
    "ListModels": [attempt(runs.ListModelsRequest(), OK)],
}

AGENTS: dict[str, list[Attempt]] = {
    "ApplyAgent": [
        attempt(agents.ApplyAgentRequest(spec="name: keeper\ninstructions: Mine.\n", dry_run=True), OK),
        attempt(agents.ApplyAgentRequest(spec="name: keeper\ninstructions: Mine.\n"), OK, rank=1),
    ],
    "GetAgent": [attempt(agents.GetAgentRequest(name="keeper", version=n), "AGENT_NOT_FOUND") for n in (0, 1)],
    "ListAgents": [
        attempt(agents.ListAgentsRequest(), OK),
        attempt(agents.ListAgentsRequest(name="keeper"), "AGENT_NOT_FOUND"),
    ],
    "DeleteAgent": [attempt(agents.DeleteAgentRequest(name="keeper"), "AGENT_NOT_FOUND")],
}

SESSIONS: dict[str, list[Attempt]] = {
    "GetSession": [attempt(sessions.GetSessionRequest(session_id="s1"), "SESSION_NOT_FOUND")],
    "ListSessions": [attempt(sessions.ListSessionsRequest(), OK)],
    "DeleteSession": [attempt(sessions.DeleteSessionRequest(session_id="s1"), "SESSION_NOT_FOUND")],
}

MISSING = "COLLECTION_NOT_FOUND"
DOCUMENT: dict[str, Any] = {"collection": "docs", "document_id": "d1"}
RETRIEVAL: dict[str, list[Attempt]] = {
    "Ingest": [
        Attempt(lambda world: [retrieval.IngestRequest(open=retrieval.IngestOpen(collection="docs"))], MISSING),
        Attempt(lambda world: ingest_requests({"d2": "Mine."}, "docs", delete_missing=True), OK, rank=2),
    ],
    "Search": [attempt(retrieval.SearchRequest(collection="docs", query=QUESTION, include_embeddings=True), MISSING)],
    "GetDocument": [attempt(retrieval.GetDocumentRequest(**DOCUMENT, include_passages=True), MISSING)],
    "DeleteDocument": [attempt(retrieval.DeleteDocumentRequest(**DOCUMENT), MISSING)],
    "ListDocuments": [attempt(retrieval.ListDocumentsRequest(collection="docs"), MISSING)],
    "CreateCollection": [attempt(retrieval.CreateCollectionRequest(name="docs"), OK, rank=1)],
    "ReembedCollection": [
        attempt(retrieval.ReembedCollectionRequest(name="docs", embedder="all-minilm-l6-v2"), MISSING)
    ],
    "ListCollections": [attempt(retrieval.ListCollectionsRequest(), OK)],
    "DeleteCollection": [attempt(retrieval.DeleteCollectionRequest(name="docs"), MISSING)],
}

HTTP: dict[str, list[Attempt]] = {
    "POST /v1/chat/completions": [
        attempt(chat(model="keeper"), "MODEL_NOT_FOUND"),
        attempt(chat(model="keeper", stream=True), "MODEL_NOT_FOUND"),
        attempt(chat(model="rag", metadata={"collection": "docs"}), MISSING),
        attempt(chat(model="rag", metadata={"tenant": "acme", "collection": "docs"}), MISSING),
        attempt(chat(model="rag", user="acme", metadata={"collection": "../acme/docs"}), "INVALID_ARGUMENT"),
    ],
    "POST /v1/embeddings": [attempt(body(model="all-minilm-l6-v2", input="x", user="acme"), OK)],
    "GET /v1/models": [attempt(HttpBody(), OK)],
    "GET /v1/models/{model}": [attempt(HttpBody(), "MODEL_NOT_FOUND")],
}
"""By the names of the routes, whose variables are the owner's."""

# For the mesh itself: whoever has a token of the gateway's is screened by the policies of its own tenant.
GUARD: dict[str, list[Attempt]] = {
    "Screen": [attempt(guard.ScreenRequest(items=[guard.ScreenItem(id="1", text="x")]), None)]
}


def _sealed(world: World) -> identity.RefreshIdentityRequest:
    owner = Identity(OWNER, "root", key=f"{OWNER}-key")
    return identity.RefreshIdentityRequest(refresh_token=RefreshTokens(world.keys.private_pem, 600).issue(owner))


# For the orchestrator, which does not come this way: not even the owner's own good refresh token renews anything.
IDENTITY: dict[str, list[Attempt]] = {"RefreshIdentity": [attempt(_sealed, "PERMISSION_DENIED")]}

CROSSINGS: dict[str, dict[str, list[Attempt]]] = {
    **ADMIN,
    "headworks.gateway.v1.GuardService": GUARD,
    "headworks.gateway.v1.IdentityService": IDENTITY,
    "headworks.orchestrator.v1.OrchestratorService": RUNS,
    "headworks.orchestrator.v1.AgentService": AGENTS,
    "headworks.orchestrator.v1.SessionService": SESSIONS,
    "headworks.retrieval.v1.RetrievalService": RETRIEVAL,
}
