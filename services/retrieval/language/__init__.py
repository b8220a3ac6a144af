"""What the service knows of written language: scripts, words and sentences. Pure functions."""
