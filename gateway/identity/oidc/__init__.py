"""Callers who come with a token of an OpenID Connect issuer."""
