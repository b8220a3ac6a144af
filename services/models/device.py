"""Where networks compute: on the processor, or on a GPU by CUDA; in what type, and how much of it at once."""

import warnings
from dataclasses import dataclass
from functools import partial

import torch

from services.models.bert import Grouping, fastest, groups, whole
from services.models.settings import CPU, CUDA

# Tokens of one forward pass. A GPU wants many, to have work for all of it.
PROCESSOR_TOKENS, GPU_TOKENS = 2048, 16_384
# The first compute capability whose tensor cores multiply bfloat16.
BFLOAT16_FROM = (8, 0)
SETTING = "HEADWORKS_MODELS_DEVICE"


class NoGpu(Exception):
    """The GPU that a setting names is not there; the message says what is, and what to do."""


@dataclass(frozen=True, slots=True)
class Device:
    """at: as torch has it. dtype: the type computed in. tokens: those of one forward pass. groups: which of its texts
    are attended to together, and how."""

    at: torch.device
    dtype: torch.dtype
    tokens: int
    groups: Grouping


def device(name: str, dtype: torch.dtype | None = None) -> Device:
    """The device of that name: cpu, cuda, cuda:N. It computes in `dtype`, or in what is fastest there. Raises NoGpu."""
    if name == CPU:
        return processor(dtype)
    require_gpu(name)
    return gpu(torch.device(name), dtype or fastest_on(torch.cuda.get_device_capability(name)))


def processor(dtype: torch.dtype | None = None) -> Device:
    """The processor."""
    return Device(torch.device(CPU), dtype or fastest(), PROCESSOR_TOKENS, groups)


def gpu(at: torch.device, dtype: torch.dtype) -> Device:
    """A GPU, whether it is there or not."""
    return Device(at, dtype, GPU_TOKENS, partial(whole, at=at))


def fastest_on(capability: tuple[int, int]) -> torch.dtype:
    """bfloat16 where a GPU of that compute capability multiplies it, else float32. Not float16: what weights of
    somebody else's overflow it with nobody knows."""
    return torch.bfloat16 if capability >= BFLOAT16_FROM else torch.float32


def require_gpu(name: str) -> None:
    """Raises NoGpu unless torch can compute on the GPU of that name: cuda, cuda:N."""
    if reason := no_gpu(name):
        raise NoGpu(f"{SETTING} is {name}, but {reason}, or set {SETTING}={CPU}")


def no_gpu(name: str) -> str:
    """Why torch cannot compute on the GPU of that name, and what to do; empty where it can."""
    if torch.version.cuda is None:
        version = torch.__version__.partition("+")[0]
        return (
            f"the PyTorch that is installed ({torch.__version__}) is a build without CUDA: install the one with it "
            f"(`pip uninstall -y torch`, then `pip install torch=={version}` with no index of CPU builds in "
            "PIP_EXTRA_INDEX_URL)"
        )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        reason = "".join(f" ({str(each.message).splitlines()[0]})" for each in said[:1])
        return (
            f"PyTorch sees no NVIDIA GPU{reason}: see that `nvidia-smi` lists one, that its driver is new enough for "
            f"CUDA {torch.version.cuda}, and that CUDA_VISIBLE_DEVICES does not hide it"
        )
    if (torch.device(name).index or 0) >= count:
        return f"PyTorch sees only {', '.join(f'{CUDA}:{number}' for number in range(count))}: name one of these"
    return ""
