"""Who may do what: permissions, their patterns, and what each method needs. What is not allowed is denied."""
