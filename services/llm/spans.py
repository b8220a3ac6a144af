"""What a span has of a model's call, by OpenTelemetry's conventions for generative AI: nothing that is said."""

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.generation import Ended, Generation
from services.runtime.tracing import Attributes


def asked(entry: CatalogueEntry, generation: Generation) -> Attributes:
    """Of the request."""
    sampling = generation.sampling
    return {
        **of_model(entry),
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.seed": sampling.seed,
    }


def of_model(entry: CatalogueEntry) -> Attributes:
    """Of a model: its name in the catalogue, its name where it is served, and what serves it."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": entry.engine.value,
        "gen_ai.request.model": entry.name,
        "gen_ai.response.model": entry.model or entry.lora or entry.name,
    }


def ended(end: Ended) -> Attributes:
    """Of the response."""
    return {
        "gen_ai.response.finish_reasons": (end.finish.value,),
        "gen_ai.usage.input_tokens": end.tokens.read,
        "gen_ai.usage.output_tokens": end.tokens.written,
        "gen_ai.usage.cache_read.input_tokens": end.tokens.cached,
    }
