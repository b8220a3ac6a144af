"""What every benchmark shares: its command, its sides in turn, its goals, its report."""
