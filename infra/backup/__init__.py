"""Saving the data of a local mesh while it runs, and putting it back: `headworks backup` and `headworks restore`."""
