"""/a2a: agents offered to other agents, by the Agent2Agent protocol. A task is a run, a context is a session."""
