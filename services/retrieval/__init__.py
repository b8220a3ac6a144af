"""Collections of documents: ingestion and hybrid search."""
