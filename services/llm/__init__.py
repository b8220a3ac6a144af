"""The model plane: one catalogue of models, and one way to ask each of them, for the gateway and the orchestrator."""
