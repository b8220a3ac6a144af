"""Personal data: how each kind is written, and what makes a number a true one."""
