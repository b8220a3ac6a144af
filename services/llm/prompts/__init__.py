"""Prompts: templates of messages with declared variables, and the messages that they come to."""
