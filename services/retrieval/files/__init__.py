"""Files as they were uploaded."""
