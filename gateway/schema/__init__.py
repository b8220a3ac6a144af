"""All tables of the gateway, and the migrations that make them."""
