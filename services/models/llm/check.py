"""Whether a language model can be served at all, found out before anything is started."""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from services.models import smollm2
from services.models.settings import ModelsSettings, adapters
from services.runtime.spelling import meant

HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)
TOKENIZERS = (("tokenizer.json",), ("tokenizer.model",), ("tekken.json",), ("vocab.json", "merges.txt"))
WEIGHTS = ("*.safetensors", "*.bin")


class CannotServe(ValueError):
    """The model cannot be served; the message says what is missing."""


def check_llm(settings: ModelsSettings) -> str:
    """The model as the engine is to be given it: a folder's whole path, or a name on the hub. Raises CannotServe."""
    name = model_name(settings.llm)
    if find_spec("vllm") is None:
        raise CannotServe("vLLM is not installed, which serves language models: install it with `make llm`")
    for adapter, folder in adapters(settings.llm_lora).items():
        if not (Path(folder) / "adapter_config.json").is_file():
            raise CannotServe(f"the LoRA adapter {adapter!r} cannot be served: {folder} has no adapter_config.json")
    template = settings.llm_chat_template
    if template and not Path(template).is_file():
        raise CannotServe(f"the chat template {template} is not a file")
    return name


def model_name(name: str) -> str:
    """Raises CannotServe unless `name` is a model's folder, or may be a model's name on the hub."""
    path = Path(name).expanduser()
    if path.is_dir():
        missing = list(_missing(path))
        if missing:
            raise CannotServe(f"{path} is not a model in Hugging Face form: {'; '.join(missing)}")
        return str(path.absolute())
    if path.exists():
        raise CannotServe(f"{path} is a file: name the folder that holds the model")
    if not HUB_NAME.fullmatch(name):
        near = meant(name, [smollm2.NAME])
        raise CannotServe(f"{name} is neither a folder nor a model's name on the hub (ORGANISATION/NAME){near}")
    return name


def _missing(folder: Path) -> Iterator[str]:
    """What the folder lacks, in words."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except FileNotFoundError:
        yield "it has no config.json"
    except (OSError, ValueError) as error:
        yield f"its config.json cannot be read: {error}"
    else:
        if not isinstance(config, dict) or not (config.get("architectures") or config.get("model_type")):
            yield "its config.json names neither architectures nor a model_type"
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZERS):
        yield "it has no tokenizer (tokenizer.json, tokenizer.model, tekken.json, or vocab.json with merges.txt)"
    if not any(file.stat().st_size for pattern in WEIGHTS for file in folder.glob(pattern)):
        yield "it has no weights (*.safetensors or *.bin)"
