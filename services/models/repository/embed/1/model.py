"""An embedder: Triton's types on the outside, `services.models.embedding` on the inside."""

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
from services.models.embedders import load  # noqa: E402
from services.models.embedding import EmbedRequest, EmbedResponse, embed, read_request  # noqa: E402
from services.models.errors import InvalidRequest  # noqa: E402

WARM_UP = [
    "What is this?",
    "A longer sentence, so that the kernels for several shapes exist before the first caller. " * 8,
]


class TritonPythonModel:
    """Loaded once per instance; Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the weights, and computes once so that no caller pays for what the first run compiles."""
        given = json.loads(args["model_config"])["parameters"]
        parameters = {name: value["string_value"] for name, value in given.items()}
        torch.set_num_threads(int(parameters["threads"]))
        self._encoder = load(parameters["embedder"], parameters["reads"], device(parameters["device"]))
        for text in WARM_UP:
            self._encoder.encode([text])

    def execute(self, requests: list[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Embeds all readable requests together; an unreadable one gets its own error."""
        read = [_read(request) for request in requests]
        answers = iter(embed(self._encoder, [item for item in read if isinstance(item, EmbedRequest)]))
        return [_write(next(answers)) if isinstance(item, EmbedRequest) else item for item in read]


def _read(request: pb.InferenceRequest) -> EmbedRequest | pb.InferenceResponse:
    text = pb.get_input_tensor_by_name(request, "TEXT")
    spans = pb.get_input_tensor_by_name(request, "SPANS")
    try:
        return read_request(text.as_numpy(), None if spans is None else spans.as_numpy())
    except InvalidRequest as error:
        return pb.InferenceResponse(error=pb.TritonError(str(error), pb.TritonError.INVALID_ARG))


def _write(response: EmbedResponse) -> pb.InferenceResponse:
    tensors = [pb.Tensor("EMBEDDING", response.vectors), pb.Tensor("TOKENS", response.tokens)]
    if response.sentences is not None:
        tensors.append(pb.Tensor("SENTENCES", response.sentences))
    return pb.InferenceResponse(tensors)
