"""What is kept of a tenant's people: handed out, and erased."""
