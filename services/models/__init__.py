"""The model server: Triton, its model repository, and the code that its models run."""
