"""Stand-ins for what a part under test calls, and the servers that tests talk to through a channel."""
