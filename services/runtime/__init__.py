"""What every process of the mesh shares: serving, calling, identity, errors, settings, logs, metrics, traces."""
