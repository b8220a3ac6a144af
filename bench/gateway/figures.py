"""The names of the sides, the cases and the figures."""

HEADWORKS, DIRECT, LITELLM, PORTKEY = "Headworks", "upstream alone", "LiteLLM", "Portkey"
ALONE, MANY, STREAMS = "1 connection", "16 connections", "16 connections, streams"
RATE, P50, P99 = "answers/s", "p50 ms", "p99 ms"
