"""Asks of the mesh, beside one process that does the same."""
