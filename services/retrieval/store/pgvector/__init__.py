"""PostgreSQL with pgvector: collections beside the records that are there already."""
