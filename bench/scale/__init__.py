"""A collection of hundreds of thousands of passages."""
