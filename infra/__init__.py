"""Running the mesh: locally, and elsewhere."""
