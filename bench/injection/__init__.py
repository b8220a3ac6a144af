"""How well prompt injection is told from harmless texts."""
