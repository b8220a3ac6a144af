"""The gateway's records, with the audit, over both databases."""

from tests.integration.gateway.audit.conftest import audit as audit
from tests.integration.gateway.audit.conftest import second as second
