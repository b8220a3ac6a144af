"""What administrators may look at and change."""
