"""The settings of the model server."""

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from services.runtime.embedders import EMBEDDERS, MINILM, EmbedderSpec
from services.runtime.settings import Settings


def cache_home() -> Path:
    """Where this user's programs keep what they can make again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


CPU, CUDA = "cpu", "cuda"
DEVICE = re.compile(rf"{CPU}|{CUDA}(:\d+)?", re.ASCII)


class ModelsSettings(Settings):
    """HEADWORKS_MODELS_…; each ends up in a model's configuration at the next start of Triton."""

    service: ClassVar[str] = "models"

    embedders: str = Field(
        "",
        description="Embedders to serve beside all-minilm-l6-v2, with commas between: multilingual-e5-small. Each has "
        "as many instances.",
    )
    device: str = Field(
        CPU,
        description="Where the embedders and the reranker compute: cpu, or cuda for an NVIDIA GPU, cuda:1 for the "
        "second of several. A language model finds its GPUs by itself.",
    )
    threads: int = Field(1, ge=1, description="Threads that one embedding instance computes with.")
    embed_instances: int = Field(
        1, ge=1, description="Instances of `embed`; each is a process with its own copy of the weights (0.35 GiB)."
    )
    passage_instances: int = Field(
        2, ge=1, description="Instances of `embed_passages`, likewise; one a core makes ingestion fastest."
    )
    reranker: str = Field(
        "",
        description="Reranker to serve as `rerank`: late-interaction, by all-minilm-l6-v2, or the folder of a "
        "cross-encoder in Hugging Face form (BertForSequenceClassification, one label); empty serves none.",
    )
    rerank_instances: int = Field(
        1, ge=1, description="Instances of `rerank`; each is a process with its own copy of the weights."
    )
    rerank_threads: int = Field(1, ge=1, description="Threads that one instance of `rerank` computes with.")
    embed_queue_delay: int = Field(
        0, ge=0, description="Microseconds that an embedding request may wait for others to share its batch."
    )
    start_seconds: float = Field(
        60,
        ge=1,
        description="How long Triton may take to load the models, and a mesh on one machine to be ready; a language "
        "model has llm_start_seconds more.",
    )
    log_verbose: int = Field(0, ge=0, description="Triton's verbosity; 0 logs warnings and errors.")

    llm: str = Field(
        "",
        description="Folder of a language model in Hugging Face form, or its name on the hub; empty serves none. "
        "`headworks up` also knows smollm2, a small one that comes as a package.",
    )
    llm_dtype: str = Field("auto", description="Type of the model's weights: auto, bfloat16, float16, float32.")
    llm_max_model_len: int = Field(
        0, ge=0, description="Longest context in tokens, prompt and answer together; 0 takes the model's own."
    )
    llm_kv_cache_gib: float = Field(
        0,
        ge=0,
        description="GiB for the KV cache; 0 takes 1 on a CPU, on a GPU what its share leaves.",
    )
    llm_gpu_memory_utilization: float = Field(
        0.9, gt=0, le=1, description="Share of a GPU's memory for weights and KV cache together."
    )
    llm_tensor_parallel: int = Field(1, ge=1, description="Devices that each layer is split across.")
    llm_threads: int = Field(
        0,
        ge=0,
        description="Threads that a language model computes with on a CPU; 0 takes all cores but one. The replicas of "
        "`headworks up` share them.",
    )
    llm_max_sequences: int = Field(0, ge=0, description="Sequences generated at once; 0 takes the engine's own number.")
    llm_max_batched_tokens: int = Field(
        0, ge=0, description="Tokens computed in one step, prompts included; 0 takes the engine's own number."
    )
    llm_prefix_caching: bool = Field(True, description="Whether prompts with the same beginning share its KV cache.")
    llm_quantization: str = Field(
        "",
        description="How to quantise weights, in vLLM's words such as fp8; empty goes by the model's files.",
    )
    llm_lora: str = Field("", description="LoRA adapters to serve beside the model: NAME=FOLDER,NAME=FOLDER.")
    llm_lora_rank: int = Field(16, ge=1, description="Highest rank of the LoRA adapters.")
    llm_speculative: str = Field(
        "", description="Speculative decoding, as vLLM's JSON object; empty decodes token by token."
    )
    llm_structured_backend: str = Field(
        "auto", description="What enforces structured output: auto, xgrammar, guidance, outlines, lm-format-enforcer."
    )
    llm_tool_parser: str = Field(
        "hermes", description="The format of the model's tool calls, as vLLM names it; empty offers the model no tools."
    )
    llm_chat_template: str = Field("", description="File with a chat template to use instead of the model's own.")
    llm_seed: int = Field(0, ge=0, description="Seed of sampling where a request gives none.")
    llm_enforce_eager: bool = Field(False, description="Start sooner, without compiling the model.")
    llm_engine_args: str = Field(
        "",
        description="Further arguments of vLLM's AsyncEngineArgs as a JSON object; they win over these settings.",
    )
    llm_chunk_milliseconds: float = Field(
        20,
        ge=0,
        description="Shortest time between two chunks of an answer with 64 answers under way, and in proportion less "
        "with fewer; what comes sooner joins the next chunk.",
    )
    llm_chunk_tokens: int = Field(16, ge=1, description="A chunk with this many tokens goes out without waiting.")
    llm_max_queue: int = Field(64, ge=0, description="Requests that may wait beyond those being generated.")
    llm_batch_share: float = Field(
        0.5, ge=0, le=1, description="Share of that queue that requests of the batch class may fill."
    )
    llm_health_seconds: float = Field(
        30, gt=0, description="A health check generates a token where nothing was generated for this many seconds."
    )
    llm_start_seconds: float = Field(
        600, gt=0, description="How long the language model may take to load, compile and warm up."
    )
    llm_metrics_port: int = Field(
        0, ge=0, le=65535, description="Port of the language model's Prometheus endpoint /metrics; 0 turns it off."
    )

    @field_validator("embedders")
    @classmethod
    def _names_embedders(cls, value: str) -> str:
        embedder_specs(value)
        return value

    @field_validator("device")
    @classmethod
    def _names_a_device(cls, value: str) -> str:
        if not DEVICE.fullmatch(value):
            raise ValueError(f"there is no device {value!r}: write {CPU}, {CUDA}, or {CUDA}:1 for the second GPU")
        return value

    @field_validator("llm_speculative", "llm_engine_args")
    @classmethod
    def _is_an_object(cls, value: str) -> str:
        if value:
            json_object(value)
        return value

    @field_validator("llm_lora")
    @classmethod
    def _names_adapters(cls, value: str) -> str:
        adapters(value)
        return value


def embedder_specs(text: str) -> list[EmbedderSpec]:
    """The embedders named in a setting, but for the one that is always served. Raises ValueError."""
    names = dict.fromkeys(filter(None, (part.strip() for part in text.split(","))))
    if unknown := [name for name in names if name not in EMBEDDERS]:
        raise ValueError(f"there is no embedder {unknown[0]!r}: {', '.join(EMBEDDERS)} are known")
    return [EMBEDDERS[name] for name in names if name != MINILM.name]


def further_embedders(settings: ModelsSettings) -> list[EmbedderSpec]:
    """Those that are served beside all-minilm-l6-v2."""
    return embedder_specs(settings.embedders)


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a setting; empty for an empty one. Raises ValueError."""
    if not text:
        return {}
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object")
    return found


def adapters(text: str) -> dict[str, str]:
    """Folders by name, of NAME=FOLDER,NAME=FOLDER. Raises ValueError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, folder = part.partition("=")
        if not name or not folder or name in found:
            raise ValueError(f"{part!r}: write NAME=FOLDER, each name once")
        found[name] = folder
    return found
