"""Where tenants, projects, principals, roles and keys are kept."""

from gateway.identity.store.keys import KeyStore
from gateway.identity.store.principals import PrincipalStore
from gateway.identity.store.projects import ProjectStore
from gateway.identity.store.roles import RoleStore
from gateway.identity.store.tenants import TenantStore
from services.runtime.records.database import Database

__all__ = ["IdentityStore", "KeyStore", "PrincipalStore", "ProjectStore", "RoleStore", "TenantStore"]


class IdentityStore:
    """All of them on one database. Their errors: NotFound, AlreadyExists, InvalidArgument, RecordsUnavailable."""

    def __init__(self, database: Database) -> None:
        self.tenants = TenantStore(database)
        self.projects = ProjectStore(database)
        self.principals = PrincipalStore(database)
        self.roles = RoleStore(database)
        self.keys = KeyStore(database)
