"""The language model of a mesh: checked before anything starts, and waited for longer than the rest."""

import dataclasses

from infra.local.engines import models_settings
from infra.local.options import BadOptions, Options
from infra.local.supervisor import Limits
from services.models.llm.check import CannotServe, check_llm

VARIABLE = "HEADWORKS_MODELS_LLM"


def check(options: Options) -> Options:
    """The options with the model's whole path in them. Raises BadOptions where it cannot be served."""
    settings = models_settings(options)
    if not settings.llm:
        return options
    try:
        return dataclasses.replace(options, env={**options.env, VARIABLE: check_llm(settings)})
    except CannotServe as error:
        raise BadOptions(str(error)) from error


def limits(options: Options, without: Limits) -> Limits:
    """How long a start may take, given how long it may take without a language model."""
    settings = models_settings(options)
    return dataclasses.replace(without, ready=without.ready + settings.llm_start_seconds) if settings.llm else without
