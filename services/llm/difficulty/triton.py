"""Embeds questions by the mesh's Triton, in a short time: an answer does not wait for how hard its question is."""

import grpc
import numpy as np
import numpy.typing as npt

from services.runtime.breaker import Breaker
from services.runtime.embedders import EMBEDDERS
from services.runtime.errors import Unavailable
from services.runtime.triton import TritonClient


class TritonTextEmbedder:
    """One text at a time, in `seconds` at most. One that was gone or late is asked again after a pause alone."""

    def __init__(self, triton: TritonClient, seconds: float) -> None:
        self._triton = triton
        self._seconds = seconds
        self._breakers = {name: Breaker() for name in EMBEDDERS}

    async def embed(self, text: str, embedder: str) -> npt.NDArray[np.float32]:
        """See TextEmbedder."""
        breaker = self._breakers[embedder]
        if not breaker.admits():
            raise Unavailable("the embedder does not answer")
        try:
            found = await self._triton.embed([text], timeout=self._seconds, embedder=EMBEDDERS[embedder])
        except grpc.aio.AioRpcError as error:
            breaker.failed()
            raise Unavailable("the embedder does not answer") from error
        breaker.succeeded()
        vector: npt.NDArray[np.float32] = found.vectors[0]
        return vector
