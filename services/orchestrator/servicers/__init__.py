"""The services' RPCs: validate, convert, one domain call, convert back."""
