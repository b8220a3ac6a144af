"""How hard a question is, so that a route asks a small or a large model: judged by what was scored before."""
