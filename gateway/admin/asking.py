"""Who asks, about which tenant, and from where on."""

from gateway.access.authorize import OTHER_TENANTS, authorize, tenant_for
from services.runtime.call import current
from services.runtime.errors import InvalidArgument, Unauthenticated
from services.runtime.identity import Identity

READ = "read"
WRITE = "write"
LONGEST_NUMBER = 15


def caller() -> Identity:
    """Who makes the call being served."""
    identity = current().identity
    if identity is None:
        raise Unauthenticated("the call has no identity")
    return identity


def tenant(asked: str, verb: str) -> str:
    """The tenant that the call is about: the caller's own where none is named. Raises PermissionDenied."""
    return tenant_for(caller(), asked, verb)


def every_tenant(verb: str) -> None:
    """The call is about all tenants. Raises PermissionDenied."""
    authorize(caller(), f"{OTHER_TENANTS}:{verb}")


def offset(token: str) -> int:
    """A page token that is a number. Raises InvalidArgument."""
    if token and (not token.isdecimal() or not token.isascii() or len(token) > LONGEST_NUMBER):
        raise InvalidArgument("page_token must be a next_page_token of this method", field="page_token")
    return int(token or 0)
