"""A language model behind Triton: vLLM's engine, admission in front of it, text in chunks behind it."""
