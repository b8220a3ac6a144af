"""The `llm` model: Triton's types on the outside, `services.models.llm` on the inside."""

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

import numpy as np  # noqa: E402
import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # noqa: E402 - only Triton's stub has it

from services.models.llm.host import Host, HostStartFailed  # noqa: E402
from services.models.settings import ModelsSettings  # noqa: E402


class Reply:
    """Where the responses to one request go."""

    def __init__(self, request: pb.InferenceRequest) -> None:
        self._sender = request.get_response_sender()

    def send(self, body: bytes, final: bool) -> None:
        """Send a response, unless the body is empty; `final` ends the request."""
        flags = pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL if final else 0
        if body:
            tensor = pb.Tensor("RESPONSE", np.array([body], dtype=object))
            self._sender.send(pb.InferenceResponse([tensor]), flags=flags)
        else:
            self._sender.send(flags=flags)

    def is_cancelled(self) -> bool:
        """Whether the caller has left."""
        return bool(self._sender.is_cancelled())


class TritonPythonModel:
    """Loaded once; Triton calls it from one thread, the engine answers from another."""

    def initialize(self, args: dict[str, str]) -> None:
        """Starts the engine; returns once it has generated something."""
        parameters = json.loads(args["model_config"])["parameters"]
        settings = ModelsSettings.model_validate_json(parameters["settings"]["string_value"])
        try:
            self._host = Host.start(settings)
        except HostStartFailed as error:
            raise pb.TritonModelException(str(error)) from error

    def execute(self, requests: list[pb.InferenceRequest]) -> None:
        """Hands each request on; its responses follow later."""
        for request in requests:
            (body,) = pb.get_input_tensor_by_name(request, "REQUEST").as_numpy()
            self._host.submit(body, Reply(request))

    def finalize(self) -> None:
        """Ends the engine and its processes."""
        self._host.stop()
