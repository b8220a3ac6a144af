"""Scores of texts against a query: by late interaction, or by a cross-encoder that the operator has."""
