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
from services.models.extraction import Answer, extract  # noqa: E402
from services.models.quoting import INPUTS, read_question, write_answer  # noqa: E402


class TritonPythonModel:
    """Loaded once; Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the model's parameters."""
        parameters = json.loads(args["model_config"])["parameters"]
        self._threshold = float(parameters["answer_threshold"]["string_value"])

    def execute(self, requests: list[pb.InferenceRequest]) -> None:
        """Answers each request with a stream of its own; an unreadable one with an error."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                question = read_question(
                    {name: pb.get_input_tensor_by_name(request, name).as_numpy() for name in INPUTS}
                )
            except InvalidRequest as error:
                refusal = pb.InferenceResponse(error=pb.TritonError(str(error), pb.TritonError.INVALID_ARG))
                sender.send(refusal, flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
            else:
                _send(sender, extract(question, self._threshold))


def _send(sender: pb.InferenceResponseSender, answer: Answer) -> None:
    """Sends until the caller leaves."""
    for tensors in write_answer(answer):
        if sender.is_cancelled():
            break
        sender.send(pb.InferenceResponse([pb.Tensor(name, value) for name, value in tensors.items()]))
    sender.send(flags=pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
