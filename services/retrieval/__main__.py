"""`python -m services.retrieval`: serve until told to stop."""

from services.retrieval.app import wire
from services.retrieval.settings import RetrievalSettings
from services.runtime.server import run, serve, verifier_of

if __name__ == "__main__":
    settings = RetrievalSettings()
    run(settings, serve(settings, lambda: wire(settings), lambda: verifier_of(settings)))
