"""The OpenAI face: translation only."""
