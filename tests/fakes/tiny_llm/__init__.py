"""A language model small enough to be trained in the test setup, and right for the prompts in `scenarios.py`.

It has the form that Hugging Face libraries and vLLM load: a Llama of half a million parameters, a tokenizer of its
own, and a chat template whose tool calls are in the Hermes form. To teach it another prompt, add a scenario.
"""
