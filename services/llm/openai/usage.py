"""The usage that an answer is booked and goes out with: the upstream's, as far as it can be."""

import logging

from services.llm import metrics
from services.llm.openai.chunks import Json, usage_json
from services.llm.tokens import TokenTally

log = logging.getLogger(__name__)


def usage_of(reported: Json | None, tally: TokenTally) -> Json:
    """What the upstream reported where that is what is booked, else the same with the numbers that are; all of it is
    estimated where it reported nothing."""
    if reported is not None and not tally.estimated:
        return reported
    details = (reported or {}).get("completion_tokens_details")
    beyond = {"completion_tokens_details": details} if isinstance(details, dict) and not tally.implausible else {}
    counts = tally.counts
    return usage_json(counts.read, counts.written, counts.cached) | beyond


def check(model: str, tally: TokenTally) -> None:
    """Log and count a usage that cannot be, once its answer is over."""
    if tally.implausible:
        metrics.DISBELIEVED.labels(model).inc()
        log.warning(
            "the upstream reports a usage that cannot be: other numbers are booked",
            extra={"model": model, "prompt_tokens": tally.counts.read, "completion_tokens": tally.counts.written},
        )
