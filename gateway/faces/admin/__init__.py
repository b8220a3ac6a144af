"""The administrators' face: a gRPC service for each noun, which the face of HTTP serves as JSON too."""
