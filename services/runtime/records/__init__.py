"""The records kit: databases, migrations, the group-commit writer, leases and the change feed of every service."""
