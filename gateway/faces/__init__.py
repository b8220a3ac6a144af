"""The faces of the gateway: each translates what callers say into calls, and back. No step is taken here."""
