"""The audit over both databases."""

from tests.fixtures.audit import audit as audit
from tests.fixtures.audit import second as second
