"""Graders: judges of an answer, which an agent may switch on."""
