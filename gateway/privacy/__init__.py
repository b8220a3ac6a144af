"""Data rights: what is kept of a person or a tenant is handed out, erased, and not kept for ever."""
