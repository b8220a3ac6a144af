"""The model `injection` of Triton."""

import math
from collections.abc import Sequence

import grpc

from services.runtime import statuses
from services.runtime.errors import Unavailable
from services.runtime.triton import TritonClient


class TritonModel:
    """Asks Triton, for `seconds` at most."""

    def __init__(self, client: TritonClient, seconds: float = 2.0) -> None:
        self._client = client
        self._seconds = seconds

    async def scores(self, texts: Sequence[str]) -> list[float]:
        """At most 128 texts. Raises DomainErrors."""
        try:
            scores = await self._client.injection_scores(texts, timeout=self._seconds)
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        if not all(map(math.isfinite, scores)):
            raise Unavailable("the model injection answered with what is no number")
        return scores
