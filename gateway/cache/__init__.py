"""Answers that were given before, given again to callers who may have them and ask the same."""
