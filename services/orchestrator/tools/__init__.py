"""The tools of agents: what the model may call, how a call is made and what comes of it."""
