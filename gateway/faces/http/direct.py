"""What OpenAI's face answers without a run: chat completions of upstreams' models, and embeddings."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
from headworks.type.v1 import usage_pb2

from gateway import metrics
from gateway.access.authorize import authorize
from gateway.calls.admission import Admission
from gateway.calls.direct import UpstreamMeter, of_embedding, of_upstream, screen_of
from gateway.calls.followers import Followers
from gateway.calls.policy import Policy
from gateway.faces.http.message import EVENTS, JSON, Body, as_json
from gateway.faces.http.openai import embeddings
from gateway.faces.http.openai.chunks import failure
from gateway.faces.http.openai.fields import Json
from gateway.faces.http.openai.waiting import time_left
from gateway.passthrough import request as requests
from gateway.passthrough.passthrough import Passthrough
from gateway.passthrough.request import Asked
from services.llm.price import FREE
from services.runtime.call import Call, outgoing
from services.runtime.errors import DomainError, Unauthenticated
from services.runtime.triton import TritonClient


def allow(call: Call, *permissions: str) -> None:
    """Raises PermissionDenied."""
    if call.identity is None:
        raise Unauthenticated("this call has no identity")
    for permission in permissions:
        authorize(call.identity, permission)


class Direct:
    """Under the same policy as runs are."""

    def __init__(
        self,
        policy: Policy,
        passthrough: Passthrough,
        triton: TritonClient,
        followers: Followers,
        embed_seconds: float,
    ) -> None:
        self._policy = policy
        self._passthrough = passthrough
        self._triton = triton
        self._followers = followers
        self._embed_seconds = embed_seconds

    def serves(self, model: object) -> bool:
        """Whether chat completions of this model need no run."""
        return isinstance(model, str) and self._passthrough.serves(model)

    def models(self) -> list[Json]:
        """Those, in OpenAI's form."""
        return self._passthrough.models()

    async def complete(self, body: Json, call: Call) -> AsyncGenerator[Body, None]:
        """The completion: one message of JSON, or server-sent events. An error before the first of them is raised; one
        after it is an event of its own."""
        asked = requests.parse(body)
        allow(call, f"models.call:{asked.model}")
        entry = self._passthrough.entry(asked.model)
        price = entry.price
        admission = await self._policy.admit(call, of_upstream(asked, entry), price)
        asked.put(admission.texts)
        meter = UpstreamMeter(admission, price, asked.prompt_tokens, self._followers)
        try:
            if asked.stream:
                async with aclosing(self._stream(asked, admission, meter, call)) as messages:
                    async for message in messages:
                        yield message
            else:
                data = await self._passthrough.complete(asked, meter, time_left(call), screen_of(admission))
                yield Body(JSON, data, whole=True)
        finally:
            admission.abandon()
        metrics.COMPLETIONS.labels(asked.model, str(asked.stream).lower()).inc()

    async def _stream(
        self, asked: Asked, admission: Admission, meter: UpstreamMeter, call: Call
    ) -> AsyncGenerator[Body, None]:
        begun = False
        try:
            portions = self._passthrough.stream(asked, meter, time_left(call), screen_of(admission))
            async with aclosing(portions):
                async for portion in portions:
                    begun = True
                    yield Body(EVENTS, portion)
        except DomainError as error:
            if not begun:
                raise
            call.code, call.reason = int(error.kind), error.reason
            yield Body(EVENTS, failure(error))

    async def embed(self, asked: embeddings.EmbeddingRequest, call: Call) -> Body:
        """The embeddings' JSON. Raises a DomainError."""
        allow(call, f"embeddings.call:{embeddings.MODEL}")
        ask = of_embedding(embeddings.MODEL, asked.texts)
        admission = await self._policy.admit(call, ask, FREE)
        try:
            vectors, tokens = [], 0
            for start in range(0, len(asked.texts), embeddings.BATCH):
                timeout = outgoing(self._embed_seconds)["timeout"]
                texts = list(admission.texts[start : start + embeddings.BATCH])
                batch = await self._triton.embed(texts, timeout=timeout)
                vectors.append(batch.vectors)
                tokens += batch.tokens
            admission.meter.know(usage_pb2.Usage(prompt_tokens=tokens))
            admission.reason = "stop"
            await admission.settle()
        finally:
            admission.abandon()
        return as_json(embeddings.response(np.concatenate(vectors), tokens, asked.base64))
