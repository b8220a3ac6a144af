"""Rate limits: how many requests and tokens a minute, and how many streams at once."""
