"""From settings to the arguments of vLLM's engine."""

from pathlib import Path
from typing import Any

from services.models.settings import ModelsSettings, adapters, json_object

GIB = 1 << 30
CPU_KV_CACHE_GIB = 1.0
# On a CPU vLLM computes in a second process by default, for which the engine waits in a loop that keeps a core busy and
# lets others starve where there are few. It replaces "uni", the name of this class, but not the class itself.
IN_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"


def engine_arguments(settings: ModelsSettings, cpu: bool) -> dict[str, Any]:
    """Keyword arguments of AsyncEngineArgs; `cpu` says that no GPU is there."""
    lora = adapters(settings.llm_lora)
    kv_cache = settings.llm_kv_cache_gib or (CPU_KV_CACHE_GIB if cpu else 0)
    given: dict[str, Any] = {
        "model": settings.llm,
        "dtype": settings.llm_dtype,
        "gpu_memory_utilization": settings.llm_gpu_memory_utilization,
        "tensor_parallel_size": settings.llm_tensor_parallel,
        "enable_prefix_caching": settings.llm_prefix_caching,
        "seed": settings.llm_seed,
        "enforce_eager": settings.llm_enforce_eager,
        "max_model_len": settings.llm_max_model_len or None,
        "max_num_seqs": settings.llm_max_sequences or None,
        "max_num_batched_tokens": settings.llm_max_batched_tokens or None,
        "quantization": settings.llm_quantization or None,
        "kv_cache_memory_bytes": int(kv_cache * GIB) or None,
        "speculative_config": json_object(settings.llm_speculative) or None,
        "distributed_executor_backend": IN_PROCESS if cpu and settings.llm_tensor_parallel == 1 else None,
        "structured_outputs_config": {"backend": settings.llm_structured_backend},
        # The two classes of requests are priorities of the engine's own scheduler.
        "scheduling_policy": "priority",
        # Ids are made by the clients, and short; the engine would log each one.
        "enable_log_requests": False,
        **({"enable_lora": True, "max_loras": len(lora), "max_lora_rank": settings.llm_lora_rank} if lora else {}),
        **json_object(settings.llm_engine_args),
    }
    return {name: value for name, value in given.items() if value is not None}


def chat_template(settings: ModelsSettings) -> str | None:
    """The template to use instead of the model's own, or None. Raises OSError."""
    return Path(settings.llm_chat_template).read_text("utf-8") if settings.llm_chat_template else None
