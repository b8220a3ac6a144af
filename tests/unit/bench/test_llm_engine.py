from pathlib import Path

from bench.llm.engine import GIB, Engine
from services.models.llm.arguments import engine_arguments
from services.models.settings import ModelsSettings


def test_both_engines_are_told_the_same() -> None:
    engine = Engine(Path("/models/one"), context=512, sequences=9, batched=700, cache_gib=3)
    ours = engine_arguments(ModelsSettings.model_validate({"llm": "/models/one", **engine.models}), cpu=True)
    told = engine.arguments("llm", 8000)
    theirs = dict(zip(told[0::2], told[1::2], strict=False))
    for name in ("model", "dtype", "max-model-len", "max-num-seqs", "max-num-batched-tokens", "kv-cache-memory-bytes"):
        assert str(ours[name.replace("-", "_")]) == theirs[f"--{name}"]
    assert ours["kv_cache_memory_bytes"] == 3 * GIB
    assert ours["enable_prefix_caching"]
    assert "--enable-prefix-caching" in told


def test_a_mesh_is_told_by_its_settings_variables() -> None:
    variables = Engine(Path("m"), context=512).variables
    assert variables["HEADWORKS_MODELS_LLM_MAX_MODEL_LEN"] == "512"
    assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "auto"
