"""The mesh to measure: its gateway before the canned upstream, and all of its policy on."""

import json
from collections.abc import Mapping
from pathlib import Path

from bench.gateway.probe import json_of
from bench.gateway.upstream import MODEL, STREAM_MODEL, Upstream
from bench.kit.mesh import Mesh, MeshConfig
from services.runtime.settings import prefix

TENANT = "bench"
PRICES = {"input": 1.0, "output": 2.0}
# All but the classifier of injections, whose cost is the model's.
GUARDS = [
    {"guard": "pii", "stage": "both", "action": "redact", "restore": True},
    {"guard": "secrets", "stage": "both", "action": "block"},
    {"guard": "terms", "stage": "both", "action": "block", "terms": ["forbidden term", "another one"]},
    {"guard": "system_prompt", "action": "block"},
    {"guard": "links", "action": "redact", "allowed": ["example.com"]},
    {"guard": "length", "characters": 100_000},
]
NOTE = (
    "Headworks: a key from the records, a rate limit of the key and one of the tenant, a budget in money and one in "
    "tokens, the guards pii, secrets, terms, system_prompt, links and length on input and output, usage and audit."
)


def mesh_config(upstream: Upstream, folder: Path, replicas: int) -> MeshConfig:
    """How the mesh is to be started."""
    bases = {MODEL: upstream.base, STREAM_MODEL: upstream.stream_base}
    bare = {"generator": "openai", "bare": True, "model": MODEL, "price": PRICES}
    models = [{"name": name, "base_url": base, **bare} for name, base in bases.items()]
    file = folder / "models.yaml"
    file.write_text(json.dumps({"models": models}), "utf-8")
    settings = {f"{prefix('llm')}MODELS_FILE": str(file)}
    return MeshConfig(("--replicas", f"gateway={replicas}"), settings)


def set_up(mesh: Mesh) -> str:
    """A tenant with everything on; returns its key. Raises BenchError."""
    admin = _Admin(mesh)
    admin.ask("POST", "tenants", {"id": TENANT})
    account = admin.ask("POST", "principals", {"tenant": TENANT, "name": "load", "kind": "KIND_SERVICE_ACCOUNT"})
    asked = {"tenant": TENANT, "principal": account["principal"]["id"], "roles": ["user"], "name": "load"}
    made = admin.ask("POST", "keys", asked)
    key = made["key"]["id"]
    for caller in (key, ""):
        limits = {"requests_per_minute": 100_000_000, "tokens_per_minute": 10_000_000_000, "streams": 10_000}
        admin.ask("POST", "limits", {"tenant": TENANT, "caller": caller, **limits})
    for scope, of, unit in (("TENANT", "", "MONEY"), ("KEY", key, "TOKENS")):
        budget = {"scope": f"SCOPE_{scope}", "scope_id": of, "period": "PERIOD_MONTH", "unit": f"UNIT_{unit}"}
        admin.ask("POST", "budgets", {"tenant": TENANT, **budget, "amount": str(10**15)})
    admin.ask("PUT", "guards", {"tenant": TENANT, "spec": json.dumps({"guards": GUARDS})})
    return str(made["secret"])


class _Admin:
    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def ask(self, method: str, noun: str, value: Mapping[str, object]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json_of(f"{self._mesh.url}/v1/admin/{noun}", self._mesh.key, value, method)
        return found
