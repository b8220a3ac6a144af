"""All tables of the orchestrator, and the migrations that make them."""
