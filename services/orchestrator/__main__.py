"""`python -m services.orchestrator`: serve until told to stop."""

from services.orchestrator.app import wire
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.server import run, serve, verifier_of

if __name__ == "__main__":
    settings = OrchestratorSettings()
    run(settings, serve(settings, lambda: wire(settings), lambda: verifier_of(settings)))
