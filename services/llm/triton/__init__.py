"""The language model in Triton: its protocol and its client."""
