"""From a document's bytes to stored passages."""
