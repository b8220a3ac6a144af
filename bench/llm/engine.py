"""One language model engine, configured alike wherever it runs."""

from dataclasses import dataclass
from pathlib import Path

from infra.local.ports import HOST
from services.runtime.settings import prefix

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Engine:
    """The settings of both engines. `sequences` at once, `batched` tokens in a step; `threads` is vLLM's
    VLLM_CPU_OMP_THREADS_BIND."""

    model: Path
    context: int = 2048
    sequences: int = 256
    batched: int = 2048
    cache_gib: int = 2
    threads: str = "auto"

    @property
    def environment(self) -> dict[str, str]:
        """For vLLM itself, wherever it runs."""
        return {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": self.threads}

    @property
    def models(self) -> dict[str, str]:
        """The settings of the mesh's model server, the model itself apart."""
        return {
            "llm_dtype": "bfloat16",
            "llm_max_model_len": str(self.context),
            "llm_max_sequences": str(self.sequences),
            "llm_max_batched_tokens": str(self.batched),
            "llm_kv_cache_gib": str(self.cache_gib),
            "llm_prefix_caching": "true",
            "llm_max_queue": str(self.sequences),
        }

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a mesh."""
        own = {f"{prefix('models')}{name.upper()}": value for name, value in self.models.items()}
        return {**self.environment, **own}

    def arguments(self, name: str, port: int) -> list[str]:
        """vLLM's server's."""
        own = {
            "model": self.model,
            "served-model-name": name,
            "dtype": "bfloat16",
            "max-model-len": self.context,
            "max-num-seqs": self.sequences,
            "max-num-batched-tokens": self.batched,
            "kv-cache-memory-bytes": self.cache_gib * GIB,
            "host": HOST,
            "port": port,
        }
        pairs = [part for name, value in own.items() for part in (f"--{name}", str(value))]
        return [*pairs, "--enable-prefix-caching", "--disable-uvicorn-access-log"]
