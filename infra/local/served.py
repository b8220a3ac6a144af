"""What the orchestrator is told of the mesh's language model."""

import json
from pathlib import Path

from infra.local.engines import models_settings
from infra.local.options import Options
from services.models.settings import adapters


def served(options: Options) -> dict[str, str]:
    """Its name, those of its adapters, and its context length; nothing where the mesh has none."""
    settings = models_settings(options)
    if not settings.llm:
        return {}
    found = {
        "LLM": Path(settings.llm).name,
        "LLM_ADAPTERS": ",".join(adapters(settings.llm_lora)),
        "LLM_CONTEXT_LENGTH": str(settings.llm_max_model_len or _context_length(Path(settings.llm)) or ""),
    }
    return {name: value for name, value in found.items() if value}


def _context_length(folder: Path) -> int:
    """As the model's own configuration has it; 0 where there is none to read, as with a name on the hub."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return int(config.get("text_config", config)["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0
