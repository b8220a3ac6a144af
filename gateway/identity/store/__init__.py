"""Where tenants, projects, principals, roles and keys are kept."""

from gateway.identity.store.keys import KeyStore
from gateway.identity.store.principals import PrincipalStore, RoleStore
from gateway.identity.store.tenants import ProjectStore, TenantStore
from gateway.metadata import NewId, new_id
from services.runtime.records.database import Database

__all__ = ["IdentityStore", "KeyStore", "PrincipalStore", "ProjectStore", "RoleStore", "TenantStore"]


class IdentityStore:
    """All of them on one database. Their errors: NotFound, AlreadyExists, InvalidArgument, RecordsUnavailable."""

    def __init__(self, database: Database, new_id: NewId = new_id) -> None:
        self.tenants = TenantStore(database)
        self.projects = ProjectStore(database, new_id)
        self.principals = PrincipalStore(database, new_id)
        self.roles = RoleStore(database)
        self.keys = KeyStore(database, new_id)
