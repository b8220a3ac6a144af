"""Protobuf from the nouns of identity, and back. Pure. What is malformed raises InvalidArgument, naming the field."""

from collections.abc import Mapping
from datetime import UTC
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from headworks.gateway.v1 import admin_pb2 as pb

from gateway.identity.nouns import Binding, Key, Principal, PrincipalKind, Project, Role, State, Tenant
from services.runtime.errors import InvalidArgument

T = TypeVar("T")
DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
STATES: Mapping[State, "pb.State.ValueType"] = {State.ACTIVE: pb.STATE_ACTIVE, State.SUSPENDED: pb.STATE_SUSPENDED}
KINDS: Mapping[PrincipalKind, "pb.Principal.Kind.ValueType"] = {
    PrincipalKind.USER: pb.Principal.KIND_USER,
    PrincipalKind.SERVICE_ACCOUNT: pb.Principal.KIND_SERVICE_ACCOUNT,
}


def page_size(asked: int) -> int:
    """How many a page has at most."""
    size = asked or DEFAULT_PAGE
    if not 1 <= size <= LARGEST_PAGE:
        raise InvalidArgument(f"page_size must be from 1 to {LARGEST_PAGE}, or 0", field="page_size")
    return size


def timestamp(seconds: float | None) -> Timestamp | None:
    """Seconds since the epoch, to the microsecond."""
    if seconds is None:
        return None
    made = Timestamp()
    made.FromMicroseconds(round(seconds * 1e6))
    return made


def seconds(given: Timestamp, field: str) -> float:
    """Seconds since the epoch."""
    try:
        return given.ToDatetime(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{field} is no time", field=field) from error


def state(given: int) -> State:
    return known(STATES, given, "state")


def principal_kind(given: int) -> PrincipalKind:
    return known(KINDS, given, "kind")


def known(words: Mapping[T, int], given: int, field: str) -> T:
    """The domain's word for a value of an enum."""
    for value, number in words.items():
        if number == given:
            return value
    raise InvalidArgument(f"{field} must be said, and be one that there is", field=field)


def tenant(one: Tenant) -> pb.Tenant:
    return pb.Tenant(
        id=one.id, display_name=one.display_name, state=STATES[one.state], create_time=timestamp(one.created)
    )


def project(one: Project) -> pb.Project:
    return pb.Project(id=one.id, tenant=one.tenant, name=one.name, create_time=timestamp(one.created))


def principal(one: Principal) -> pb.Principal:
    return pb.Principal(
        id=one.id,
        tenant=one.tenant,
        kind=KINDS[one.kind],
        name=one.name,
        display_name=one.display_name,
        state=STATES[one.state],
        create_time=timestamp(one.created),
    )


def role(one: Role) -> pb.Role:
    return pb.Role(
        tenant=one.tenant,
        name=one.name,
        permissions=sorted(one.permissions),
        create_time=timestamp(one.created or None),
    )


def binding(one: Binding) -> pb.RoleBinding:
    return pb.RoleBinding(
        principal=one.principal, role=one.role, project=one.project, create_time=timestamp(one.created)
    )


def key(one: Key) -> pb.ApiKey:
    return pb.ApiKey(
        id=one.id,
        tenant=one.tenant,
        project=one.project,
        principal=one.principal,
        name=one.name,
        prefix=one.prefix,
        roles=one.roles,
        scopes=one.scopes,
        create_time=timestamp(one.created),
        expire_time=timestamp(one.expires),
        last_use_time=timestamp(one.last_used),
        revoke_time=timestamp(one.revoked),
        replaced_by=one.replaced_by or "",
    )
