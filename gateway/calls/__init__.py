"""What every call of a model passes: limits, guards, budgets, and the books at its end."""
