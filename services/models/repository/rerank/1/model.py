"""The `rerank` model: Triton's types on the outside, `services.models.rerank` on the inside."""

# Triton adds its types to the module below only after this one is loaded.
from __future__ import annotations

import locale
import os
import sys

# The stub's interpreter starts in the C locale, where torch's own source files fail to decode.
locale.setlocale(locale.LC_ALL, "C.UTF-8")
# It also ignores PYTHONPATH.
sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))

from services.models import pulse  # noqa: E402

pulse.steady()

import json  # noqa: E402

import torch  # noqa: E402
import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # noqa: E402 - only Triton's stub has it

from services.models.device import device  # noqa: E402
from services.models.errors import InvalidRequest  # noqa: E402
from services.models.rerank.load import load  # noqa: E402
from services.models.rerank.pairs import Pair  # noqa: E402
from services.models.rerank.serving import RerankResponse, read_request, rerank  # noqa: E402

WARM_UP = [
    Pair("What is this?", "A short text."),
    Pair("What is this?", "A longer sentence, so that the kernels for several shapes exist before the first. " * 8),
]


class TritonPythonModel:
    """Loaded once per instance; Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the weights, and computes once so that no caller pays for what the first run compiles."""
        given = json.loads(args["model_config"])["parameters"]
        parameters = {name: value["string_value"] for name, value in given.items()}
        torch.set_num_threads(int(parameters["threads"]))
        self._reranker = load(parameters["reranker"], device(parameters["device"]))
        for pair in WARM_UP:
            self._reranker.score([pair])

    def execute(self, requests: list[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Scores all readable requests together; an unreadable one gets its own error."""
        read = [_read(request) for request in requests]
        answers = iter(rerank(self._reranker, [item for item in read if isinstance(item, list)]))
        return [_write(next(answers)) if isinstance(item, list) else item for item in read]


def _read(request: pb.InferenceRequest) -> list[Pair] | pb.InferenceResponse:
    query, text, most = (
        pb.get_input_tensor_by_name(request, name).as_numpy() for name in ("QUERY", "TEXT", "MAX_TOKENS")
    )
    try:
        return read_request(query, text, most)
    except InvalidRequest as error:
        return pb.InferenceResponse(error=pb.TritonError(str(error), pb.TritonError.INVALID_ARG))


def _write(response: RerankResponse) -> pb.InferenceResponse:
    return pb.InferenceResponse([pb.Tensor("SCORE", response.scores), pb.Tensor("TOKENS", response.tokens)])
