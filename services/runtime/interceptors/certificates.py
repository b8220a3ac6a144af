"""Which holders of the mesh's certificates may call what, where services speak mutual TLS."""

import logging
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from cryptography import x509

from services.runtime.errors import PermissionDenied
from services.runtime.interceptors.handlers import Handler, Wrapping, behaviour, with_behaviour
from services.runtime.interceptors.pipeline import Context, abort

log = logging.getLogger(__name__)

ANYBODY = ("/grpc.health.v1.Health/", "/grpc.reflection.")

Callers = Mapping[str, Collection[str]]
"""The names of certificates that may call, by the beginning of a method's path; the longest that fits counts."""


class CertificateCheck(Wrapping):
    """Refuses a call, xDS included, unless the caller's certificate is for one of its callers. Health and reflection
    are for every holder of one."""

    exempt = ANYBODY

    def __init__(self, callers: Callers) -> None:
        super().__init__()
        self._callers = callers

    def wrap(self, method: str, handler: Handler) -> Handler:
        """See Wrapping."""
        allowed = callers_of(method, self._callers)
        serve = behaviour(handler)

        async def checked(request: Any, context: Context) -> Any:
            names = _names(context)
            try:
                check_names(names, allowed)
            except PermissionDenied as denied:
                log.warning("certificate refused", extra={"method": method, "names": sorted(names)})
                await abort(context, denied)
            return await serve(request, context)

        return with_behaviour(handler, checked)


def _names(context: Context) -> frozenset[str]:
    """The DNS names in the caller's certificate. gRPC's own list has URIs and addresses among them."""
    pem = next(iter(context.auth_context().get("x509_pem_cert", ())), b"")
    return dns_names(pem) if pem else frozenset()


@lru_cache(256)
def dns_names(pem: bytes) -> frozenset[str]:
    """Of a certificate in PEM; none where it has none."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(found.value.get_values_for_type(x509.DNSName))


def check_names(names: frozenset[str], allowed: frozenset[str]) -> None:
    """Raises PermissionDenied where a certificate with these names is for none of those allowed."""
    if not names & allowed:
        raise PermissionDenied(f"the caller's certificate is for none of {', '.join(sorted(allowed))}")


def callers_of(method: str, callers: Callers) -> frozenset[str]:
    """The names that may call the method; none where no beginning fits."""
    fitting = [beginning for beginning in callers if method.startswith(beginning)]
    return frozenset(callers[max(fitting, key=len)]) if fitting else frozenset()
