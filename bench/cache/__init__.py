"""The cache of answers: its speed beside the pipeline without it, and how often it is wrong."""
