"""The permission table: what every method that the gateway serves needs. A method without an entry is not served."""

from collections.abc import Mapping

from gateway.access.admin import ADMIN
from gateway.access.needs import Needs, nothing, of_collection, of_field, of_ingestion, of_param, of_run, plain

HTTP: Mapping[str, Needs] = {
    # The body is JSON: the face asks with `authorize`, once it has read it.
    "POST /v1/chat/completions": nothing,
    "POST /v1/embeddings": nothing,
    "GET /v1/models": plain("models.read:*"),
    "GET /v1/models/{model}": of_param("models.read", "model"),
}
"""Of the paths that are no RPC's, by the route's name."""

RUNS: Mapping[str, Needs] = {
    "Run": of_run,
    "Attach": of_field("runs.read", "run_id"),
    "Cancel": of_field("runs.write", "run_id"),
    "Decide": of_field("runs.decide", "run_id"),
    "GetRun": of_field("runs.read", "run_id"),
    "ListRuns": plain("runs.read:*"),
    "ListModels": plain("models.read:*"),
}

AGENTS: Mapping[str, Needs] = {
    # The name is within the spec, whose YAML is for the orchestrator to read.
    "ApplyAgent": plain("agents.write:*"),
    "GetAgent": of_field("agents.read", "name"),
    "ListAgents": of_field("agents.read", "name"),
    "DeleteAgent": of_field("agents.write", "name"),
}

SESSIONS: Mapping[str, Needs] = {
    "GetSession": of_field("sessions.read", "session_id"),
    "ListSessions": plain("sessions.read:*"),
    "DeleteSession": of_field("sessions.write", "session_id"),
}

RETRIEVAL: Mapping[str, Needs] = {
    "Ingest": of_ingestion,
    "Search": of_collection("read"),
    "GetDocument": of_collection("read"),
    "DeleteDocument": of_collection("write"),
    "ListDocuments": of_collection("read"),
    "CreateCollection": of_collection("write", "name"),
    "ListCollections": plain("collections.read:*"),
    "DeleteCollection": of_collection("delete", "name"),
}

# Called from within the mesh only, under the token of the run that asks.
GUARD: Mapping[str, Needs] = {"Screen": nothing}

# Called by the orchestrator only: see gateway.faces.identity.OrchestratorOnly.
IDENTITY: Mapping[str, Needs] = {"RefreshIdentity": nothing}

TABLE: Mapping[str, Mapping[str, Needs]] = {
    **ADMIN,
    "headworks.gateway.v1.GuardService": GUARD,
    "headworks.gateway.v1.IdentityService": IDENTITY,
    "headworks.orchestrator.v1.OrchestratorService": RUNS,
    "headworks.orchestrator.v1.AgentService": AGENTS,
    "headworks.orchestrator.v1.SessionService": SESSIONS,
    "headworks.retrieval.v1.RetrievalService": RETRIEVAL,
}
