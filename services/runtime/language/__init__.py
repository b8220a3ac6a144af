"""What is known of written language, by the service that indexes and the model that reads alike. Pure functions."""
