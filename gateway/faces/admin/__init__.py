"""The administrators' face: a gRPC service for each noun, which Envoy serves as JSON too."""
