"""Routes that go by difficulty: what they score at half the cost, beside chance, either model alone, and LiteLLM."""
