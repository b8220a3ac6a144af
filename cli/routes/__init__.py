"""What routes learn from scored questions."""
