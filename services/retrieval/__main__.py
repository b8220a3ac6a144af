"""python -m services.retrieval: load the settings and serve."""

import sys

from services.retrieval.app import wire
from services.retrieval.errors import StoreLocked
from services.retrieval.settings import RetrievalSettings
from services.runtime.server import run, serve, verifier_of


def main() -> None:
    settings = RetrievalSettings()
    try:
        run(settings, serve(settings, lambda: wire(settings), verifier_of(settings)))
    except StoreLocked as error:
        sys.exit(f"retrieval: {error}")


if __name__ == "__main__":
    main()
