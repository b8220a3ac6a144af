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

from services.models import pulse  # noqa: E402

pulse.steady()

import json  # noqa: E402

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # noqa: E402 - only Triton's stub has it

from services.models.errors import InvalidRequest  # noqa: E402
from services.models.extraction import Question, extract  # noqa: E402
from services.models.quoting import INPUTS, read_question, write_answer  # noqa: E402

WARM_UP = Question(
    text="What warms up?",
    vector=np.zeros(384, dtype=np.float32),
    sentences=["Whatever is computed first.", "长城"],
    sentence_vectors=np.zeros((2, 384), dtype=np.int8),
    passage=np.zeros(2, dtype=np.int32),
    passage_scores=np.zeros((1, 2), dtype=np.float32),
    max_sentences=1,
)


class TritonPythonModel:
    """Loaded once; Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the model's parameters, and answers once so that no caller pays for what the first answer loads."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._threshold = float(parameters["answer_threshold"]["string_value"])
        extract(WARM_UP, self._threshold)

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
