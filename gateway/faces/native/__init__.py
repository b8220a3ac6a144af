"""Native gRPC through the gateway."""
