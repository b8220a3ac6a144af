"""How one tenant may try to reach what is another's, for every method that there is."""

from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from headworks.gateway.v1 import guard_service_pb2 as guard
from headworks.gateway.v1 import identity_service_pb2 as identity
from headworks.orchestrator.v1 import agent_service_pb2 as agents
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs
from headworks.orchestrator.v1 import prompt_pb2, run_pb2
from headworks.orchestrator.v1 import prompt_service_pb2 as prompts
from headworks.orchestrator.v1 import session_service_pb2 as sessions
from headworks.retrieval.v1 import file_service_pb2 as files
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval
from headworks.retrieval.v1 import vector_store_service_pb2 as stores

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
        attempt(run(model="rag", prompt=prompt_pb2.PromptUse(name="keeper@1")), "PROMPT_NOT_FOUND"),
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

PROMPT = "name: keeper\nmessages: [{role: system, content: Mine.}]\n"
PROMPTS: dict[str, list[Attempt]] = {
    "ApplyPrompt": [
        attempt(prompts.ApplyPromptRequest(spec=PROMPT, dry_run=True), OK),
        attempt(prompts.ApplyPromptRequest(spec=PROMPT), OK, rank=1),
    ],
    "GetPrompt": [attempt(prompts.GetPromptRequest(name="keeper", version=n), "PROMPT_NOT_FOUND") for n in (0, 1)],
    "ListPrompts": [
        attempt(prompts.ListPromptsRequest(), OK),
        attempt(prompts.ListPromptsRequest(name="keeper"), "PROMPT_NOT_FOUND"),
    ],
    "RenderPrompt": [attempt(prompts.RenderPromptRequest(name="keeper"), "PROMPT_NOT_FOUND")],
    "DeletePrompt": [attempt(prompts.DeletePromptRequest(name="keeper"), "PROMPT_NOT_FOUND")],
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

NO_FILE = "FILE_NOT_FOUND"


def by_file(form: Any, ends: str, **more: Any) -> list[Attempt]:
    return [attempt(lambda world: form(file_id=world.ids["file"], **more), ends)]


FILES: dict[str, list[Attempt]] = {
    "CreateFile": [
        Attempt(
            lambda world: [
                files.CreateFileRequest(head=files.FileHead(filename="mine.txt")),
                files.CreateFileRequest(chunk=b"Mine."),
                files.CreateFileRequest(purpose="assistants"),
            ],
            OK,
        )
    ],
    "GetFile": by_file(files.GetFileRequest, NO_FILE),
    "ListFiles": [
        attempt(files.ListFilesRequest(), OK),
        attempt(lambda world: files.ListFilesRequest(after=world.ids["file"]), "INVALID_ARGUMENT"),
    ],
    "ReadFile": by_file(files.ReadFileRequest, NO_FILE),
    "DeleteFile": by_file(files.DeleteFileRequest, NO_FILE),
}

STORE: dict[str, Any] = {"vector_store_id": "docs"}


def by_batch(form: Any) -> list[Attempt]:
    return [attempt(lambda world: form(batch_id=world.ids["batch"], **STORE), MISSING)]


def _put(world: World, store: str) -> stores.AddVectorStoreFilesRequest:
    added = [stores.AddedFile(file_id=world.ids["file"])]
    return stores.AddVectorStoreFilesRequest(vector_store_id=store, files=added)


VECTOR_STORES: dict[str, list[Attempt]] = {
    "CreateVectorStore": [attempt(stores.CreateVectorStoreRequest(name="docs"), OK, rank=1)],
    "GetVectorStore": [attempt(stores.GetVectorStoreRequest(**STORE), MISSING)],
    "ListVectorStores": [attempt(stores.ListVectorStoresRequest(), OK)],
    "UpdateVectorStore": [attempt(stores.UpdateVectorStoreRequest(name="mine", **STORE), MISSING)],
    "DeleteVectorStore": [attempt(stores.DeleteVectorStoreRequest(**STORE), MISSING)],
    "AddVectorStoreFiles": [
        attempt(lambda world: _put(world, "docs"), MISSING),
        attempt(lambda world: _put(world, "docs"), NO_FILE, rank=3),  # by then there is one of its own
    ],
    "GetVectorStoreFile": by_file(stores.GetVectorStoreFileRequest, MISSING, **STORE),
    "ListVectorStoreFiles": [attempt(stores.ListVectorStoreFilesRequest(**STORE), MISSING)],
    "UpdateVectorStoreFile": by_file(stores.UpdateVectorStoreFileRequest, MISSING, **STORE),
    "DeleteVectorStoreFile": by_file(stores.DeleteVectorStoreFileRequest, MISSING, **STORE),
    "GetFileBatch": by_batch(stores.GetFileBatchRequest),
    "CancelFileBatch": by_batch(stores.CancelFileBatchRequest),
    "SearchVectorStore": [attempt(stores.SearchVectorStoreRequest(query=QUESTION, **STORE), MISSING)],
}


def _with_file(world: World) -> Message:
    made: Message = body(file_id=world.ids["file"])
    return made


def _mcp(method: str, **params: Any) -> Message:
    made: Message = body(jsonrpc="2.0", id=1, method=method, params=params)
    return made


HTTP: dict[str, list[Attempt]] = {
    "GET /.well-known/agent-card.json": [attempt(HttpBody(), "*")],
    "GET /a2a/{agent}/.well-known/agent-card.json": [attempt(HttpBody(), "*")],
    "POST /a2a/{agent}": [attempt(body(jsonrpc="2.0", id=1, method="SendMessage"), "*")],
    "POST /mcp": [
        attempt(_mcp("tools/list"), OK),
        attempt(_mcp("tools/call", name="ask_keeper", arguments={"question": QUESTION}), OK),
        attempt(_mcp("tools/call", name="search_docs", arguments={"query": QUESTION}), OK),
        attempt(_mcp("tools/call", name="ask_rag", arguments={"question": QUESTION, "collection": "docs"}), OK),
    ],
    "POST /v1/search": [attempt(body(query=QUESTION, collection="docs"), MISSING)],
    "POST /v1/files": [attempt(HttpBody(), "UNSUPPORTED_MEDIA_TYPE")],
    "GET /v1/files": [attempt(HttpBody(), OK)],
    "GET /v1/files/{file_id}": [attempt(HttpBody(), NO_FILE)],
    "GET /v1/files/{file_id}/content": [attempt(HttpBody(), NO_FILE)],
    "DELETE /v1/files/{file_id}": [attempt(HttpBody(), NO_FILE)],
    "POST /v1/vector_stores": [
        attempt(body(name="docs"), OK),
        Attempt(lambda world: [body(file_ids=[world.ids["file"]])], NO_FILE),
    ],
    "GET /v1/vector_stores": [attempt(HttpBody(), OK)],
    "GET /v1/vector_stores/{store}": [attempt(HttpBody(), MISSING)],
    "POST /v1/vector_stores/{store}": [attempt(body(name="mine"), MISSING)],
    "DELETE /v1/vector_stores/{store}": [attempt(HttpBody(), MISSING)],
    "POST /v1/vector_stores/{store}/search": [attempt(body(query=QUESTION), MISSING)],
    "POST /v1/vector_stores/{store}/files": [attempt(_with_file, MISSING)],
    "GET /v1/vector_stores/{store}/files": [attempt(HttpBody(), MISSING)],
    "GET /v1/vector_stores/{store}/files/{file_id}": [attempt(HttpBody(), MISSING)],
    "POST /v1/vector_stores/{store}/files/{file_id}": [attempt(body(attributes={"a": 1}), MISSING)],
    "DELETE /v1/vector_stores/{store}/files/{file_id}": [attempt(HttpBody(), MISSING)],
    "GET /v1/vector_stores/{store}/files/{file_id}/content": [attempt(HttpBody(), MISSING)],
    "POST /v1/vector_stores/{store}/file_batches": [
        Attempt(lambda world: [body(file_ids=[world.ids["file"]])], MISSING)
    ],
    "GET /v1/vector_stores/{store}/file_batches/{batch}": [attempt(HttpBody(), MISSING)],
    "POST /v1/vector_stores/{store}/file_batches/{batch}/cancel": [attempt(body(), MISSING)],
    "GET /v1/vector_stores/{store}/file_batches/{batch}/files": [attempt(HttpBody(), MISSING)],
    "POST /v1/chat/completions": [
        attempt(chat(model="keeper"), "MODEL_NOT_FOUND"),
        attempt(chat(model="keeper", stream=True), "MODEL_NOT_FOUND"),
        attempt(chat(model="rag", metadata={"collection": "docs"}), MISSING),
        attempt(chat(model="rag", metadata={"tenant": "acme", "collection": "docs"}), MISSING),
        attempt(chat(model="rag", user="acme", metadata={"collection": "../acme/docs"}), "INVALID_ARGUMENT"),
    ],
    "POST /v1/messages": [
        attempt(chat(model="keeper", max_tokens=9), "MODEL_NOT_FOUND"),
        attempt(chat(model="keeper", max_tokens=9, stream=True), "MODEL_NOT_FOUND"),
        attempt(chat(model="rag", max_tokens=9, metadata={"collection": "docs", "user_id": "acme"}), MISSING),
    ],
    "POST /v1/messages/count_tokens": [attempt(chat(model="keeper"), OK)],
    "POST /v1/responses": [
        attempt(body(model="keeper", input=QUESTION), "MODEL_NOT_FOUND"),
        attempt(body(model="keeper", input=QUESTION, stream=True), "MODEL_NOT_FOUND"),
        attempt(body(model="rag", input=QUESTION, metadata={"collection": "docs"}), MISSING),
        attempt(
            lambda world: body(model="rag", input=QUESTION, previous_response_id=f"resp_{world.run_id}"),
            "PREVIOUS_RESPONSE_NOT_FOUND",
        ),
    ],
    "POST /v1/completions": [
        attempt(body(model="keeper", prompt=QUESTION), "MODEL_NOT_FOUND"),
        attempt(body(model="rag", prompt=QUESTION, metadata={"collection": "docs"}), MISSING),
    ],
    "POST /v1/moderations": [attempt(body(input=QUESTION, model="keeper"), OK)],
    "POST /v1/embeddings": [attempt(body(model="all-minilm-l6-v2", input="x", user="acme"), OK)],
    "POST /v1/rerank": [attempt(body(query="x", documents=["x"]), OK)],
    "POST /v2/rerank": [attempt(body(query="x", documents=["x"]), OK)],
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
    "headworks.orchestrator.v1.PromptService": PROMPTS,
    "headworks.orchestrator.v1.SessionService": SESSIONS,
    "headworks.retrieval.v1.RetrievalService": RETRIEVAL,
    "headworks.retrieval.v1.FileService": FILES,
    "headworks.retrieval.v1.VectorStoreService": VECTOR_STORES,
}
