"""The loop that runs an agent: prompt, model, tools, checks, answer."""
