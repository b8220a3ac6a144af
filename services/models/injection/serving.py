"""What the `injection` model does with a batch of requests, free of Triton's types."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.models.errors import InvalidRequest
from services.models.injection.scoring import Scorer

# Triton hands strings over as an object array of bytes [texts, 1].
Strings = npt.NDArray[np.object_]


class EmbeddingFailed(Exception):
    """The embedder did not answer."""


def texts_of(tensor: Strings) -> list[str]:
    """Decodes the tensor TEXT. Raises InvalidRequest."""
    try:
        return [str(item, "utf-8") for item in tensor.ravel()]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"TEXT is not UTF-8: {error.reason} at byte {error.start}") from error


def answers(scorer: Scorer, requests: Sequence[Sequence[str]]) -> list[npt.NDArray[np.float32]]:
    """Scores [texts, 1] of each request, all requests in one go."""
    scores = scorer.scores([text for request in requests for text in request])
    ends = np.cumsum([len(request) for request in requests])
    return [part.reshape(-1, 1) for part in np.split(scores, ends[:-1])] if requests else []
