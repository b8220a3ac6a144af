"""Files and vector stores in OpenAI's JSON."""
