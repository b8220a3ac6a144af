"""The policy point: the only way into the mesh."""
