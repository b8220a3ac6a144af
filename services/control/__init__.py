"""The mesh's one source of routing: a topology goes in, xDS comes out, to Envoy and to every service's own client."""
