"""OpenAI's chat completions: requests, events, chunks, answers."""
