"""XQuAD, as the benchmarks read it."""
