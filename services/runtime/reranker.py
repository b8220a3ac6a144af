"""The reranker that Triton may serve: what it is called there, how much it reads, and that there is none."""

from services.runtime.errors import DomainError, ErrorKind

RERANKER = "rerank"
RERANK_TOKENS = 256
"""Wordpieces that it reads of a text at most."""


class RerankerNotServed(DomainError):
    """The model server has loaded no reranker. Trying again does not help; somebody must load one."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "RERANKER_NOT_SERVED"

    def __init__(self) -> None:
        super().__init__(
            "no reranker is served: name one in HEADWORKS_MODELS_RERANKER and start the model server again"
        )
