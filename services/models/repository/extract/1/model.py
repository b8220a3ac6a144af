"""The `extract` model: Triton's types on the outside, `services.models.extraction` on the inside."""

# Triton adds its types to the module below only after this one is loaded.
from __future__ import annotations

import locale
import os
import sys

# The stub's interpreter starts in the C locale, whatever the environment says.
locale.setlocale(locale.LC_ALL, "C.UTF-8")
# It also ignores PYTHONPATH.
sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))

import json  # noqa: E402

import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # noqa: E402 - only Triton's stub has it

from services.models.errors import InvalidRequest  # noqa: E402
from services.models.extraction import extract  # noqa: E402
from services.models.quoting import INPUTS, read_question, write_answer  # noqa: E402


class TritonPythonModel:
    """Loaded once; Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the model's parameters."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._threshold = float(parameters["answer_threshold"]["string_value"])

    def execute(self, requests: list[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Answers each request; an unreadable one with an error of its own."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: pb.InferenceRequest) -> pb.InferenceResponse:
        try:
            question = read_question({name: pb.get_input_tensor_by_name(request, name).as_numpy() for name in INPUTS})
        except InvalidRequest as error:
            return pb.InferenceResponse(error=pb.TritonError(str(error), pb.TritonError.INVALID_ARG))
        tensors = write_answer(extract(question, self._threshold))
        return pb.InferenceResponse([pb.Tensor(name, value) for name, value in tensors.items()])
