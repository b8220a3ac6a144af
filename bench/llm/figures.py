"""What the figures of streamed answers are called."""

RATE, CHUNKS, PROMPT = "tokens/s", "chunks per answer", "prompt tokens"
FIRST, FIRST_MOST = "first text p50 ms", "first text, last stream, ms"
GAP, GAP_P99, EACH_P99 = "gap p50 ms", "gap p99 ms", "gap per token p99 ms"
LOADER = "cores of load"


def case_name(streams: int) -> str:
    return "1 stream" if streams == 1 else f"{streams} streams"
