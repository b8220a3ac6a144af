"""What the guards find in texts of the user, which as a rule should be little."""
