"""Who calls: API keys in, internal identity tokens out."""
