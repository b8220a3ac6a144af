"""Providers whose wire is not OpenAI's: each is turned into it, and so are its answers; nothing else knows of them."""
