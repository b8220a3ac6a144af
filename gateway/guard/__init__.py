"""What may be said: guards on what comes in, on what agents read, and on what goes out."""
