"""The embedder that asks Triton."""

from collections.abc import Sequence

import grpc
import numpy as np
import numpy.typing as npt

from services.runtime import statuses
from services.runtime.call import current
from services.runtime.triton import TritonClient

BATCH = 128


class GraderEmbedder:
    """Embeds with the model `embed`, within what remains of the present call's deadline."""

    def __init__(self, triton: TritonClient, timeout: float) -> None:
        self._triton = triton
        self._timeout = timeout

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32 [n, 384], length one. Raises DomainErrors."""
        parts: list[npt.NDArray[np.float32]] = []
        try:
            for start in range(0, len(texts), BATCH):
                timeout = min(self._timeout, current().remaining)
                embedded = await self._triton.embed(texts[start : start + BATCH], timeout=timeout)
                parts.append(embedded.vectors)
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        return np.concatenate(parts) if parts else np.empty((0, 384), np.float32)
