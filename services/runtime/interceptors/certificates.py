"""Which holders of the mesh's certificates may call what, where services speak mutual TLS."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import grpc

from services.runtime import statuses
from services.runtime.errors import PermissionDenied
from services.runtime.interceptors.pipeline import Context, Handler, behaviour, with_behaviour

log = logging.getLogger(__name__)

ANYBODY = ("/grpc.health.v1.Health/", "/grpc.reflection.")
NAMES = "x509_subject_alternative_name"

Callers = Mapping[str, Collection[str]]
"""The names of certificates that may call, by the beginning of a method's path; the longest that fits counts."""


class CertificateCheck(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Refuses a call, xDS included, unless the caller's certificate is for one of its callers. Health and reflection
    are for every holder of one."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        method = handler_call_details.method
        if method in self._wrapped:
            return self._wrapped[method]
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(ANYBODY):
            return handler
        self._wrapped[method] = checked = self._check(method, handler)
        return checked

    def _check(self, method: str, handler: Handler) -> Handler:
        allowed = callers_of(method, self._callers)
        serve = behaviour(handler)

        async def checked(request: Any, context: Context) -> Any:
            names = {name.decode() for name in context.auth_context().get(NAMES, ())}
            if not names & allowed:
                log.warning("certificate refused", extra={"method": method, "names": sorted(names)})
                denied = PermissionDenied(f"the caller's certificate is for none of {', '.join(sorted(allowed))}")
                await context.abort(statuses.CODES[denied.kind], denied.message, statuses.details(denied))
            return await serve(request, context)

        return with_behaviour(handler, checked)


def callers_of(method: str, callers: Callers) -> frozenset[str]:
    """The names that may call the method; none where no beginning fits."""
    fitting = [beginning for beginning in callers if method.startswith(beginning)]
    return frozenset(callers[max(fitting, key=len)]) if fitting else frozenset()
