"""The `injection` model: Triton's types on the outside, `services.models.injection` on the inside."""

# Triton adds its types to the module below only after this one is loaded.
from __future__ import annotations

import locale
import os
import sys

# The stub's interpreter starts in the C locale, where other languages' words fail to decode.
locale.setlocale(locale.LC_ALL, "C.UTF-8")
# It also ignores PYTHONPATH.
sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))

from services.models import pulse  # noqa: E402

pulse.steady()

from collections.abc import Sequence  # noqa: E402

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # noqa: E402 - only Triton's stub has it

from services.models.errors import InvalidRequest  # noqa: E402
from services.models.injection.head import Head  # noqa: E402
from services.models.injection.scoring import Scorer  # noqa: E402
from services.models.injection.serving import EmbeddingFailed, answers, texts_of  # noqa: E402

# The `embed` model takes so many texts at once; fewer leave it free for questions in between.
BATCH = 32


class TritonPythonModel:
    """Loaded once per instance; Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the head. The embedder is another model, which may be loaded later."""
        self._scorer = Scorer(_embed, Head.load())

    def execute(self, requests: list[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Scores all readable requests together; an unreadable one gets its own error."""
        read = [_read(request) for request in requests]
        try:
            scores = iter(answers(self._scorer, [item for item in read if isinstance(item, list)]))
            return [_write(next(scores)) if isinstance(item, list) else item for item in read]
        except EmbeddingFailed as error:
            failed = pb.TritonError(str(error), pb.TritonError.UNAVAILABLE)
            return [pb.InferenceResponse(error=failed) for _ in requests]


def _embed(texts: Sequence[str]) -> np.ndarray:
    parts = [_embed_batch(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
    return np.concatenate(parts)


def _embed_batch(texts: Sequence[str]) -> np.ndarray:
    tensor = pb.Tensor("TEXT", np.array([[text.encode()] for text in texts], dtype=np.object_))
    request = pb.InferenceRequest(model_name="embed", requested_output_names=["EMBEDDING"], inputs=[tensor])
    response = request.exec()
    if response.has_error():
        raise EmbeddingFailed(f"the model embed did not answer: {response.error().message()}")
    return pb.get_output_tensor_by_name(response, "EMBEDDING").as_numpy()


def _read(request: pb.InferenceRequest) -> list[str] | pb.InferenceResponse:
    try:
        return texts_of(pb.get_input_tensor_by_name(request, "TEXT").as_numpy())
    except InvalidRequest as error:
        return pb.InferenceResponse(error=pb.TritonError(str(error), pb.TritonError.INVALID_ARG))


def _write(scores: np.ndarray) -> pb.InferenceResponse:
    return pb.InferenceResponse([pb.Tensor("SCORE", scores)])
