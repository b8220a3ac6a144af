"""The language model's parts that need no engine."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.llm.errors import ContextTooLong
from services.llm.triton.protocol import Cancel, Count, Failed, Generate, InvalidLlmRequest, LlmHealth, read
from services.models import layout
from services.models.layout import lay_out_repository
from services.models.llm.admission import AdmissionControl
from services.models.llm.arguments import GIB, IN_PROCESS, engine_arguments
from services.models.llm.check import CannotServe, model_name
from services.models.llm.chunks import Coalescer
from services.models.llm.errors import Overloaded
from services.models.settings import ModelsSettings
from tests.fakes.llm_protocol import plain

MESSAGES = [{"role": "user", "content": "Hello"}]


def test_requests_are_read() -> None:
    generate = read(json.dumps({"op": "generate", "id": "a", "messages": MESSAGES, "priority": "batch"}).encode())
    assert isinstance(generate, Generate)
    assert (generate.id, generate.batch, generate.remaining) == ("a", True, None)
    assert read(b'{"op": "cancel", "id": "a"}') == Cancel("a")
    assert isinstance(read(json.dumps({"op": "count", "messages": MESSAGES}).encode()), Count)
    assert read(b'{"op": "health"}') == LlmHealth()


@pytest.mark.parametrize(
    "values",
    [
        [], {}, {"op": "other"}, {"op": "cancel"}, {"op": "cancel", "id": 4}, {"op": "count", "messages": []},
        {"op": "generate", "messages": MESSAGES}, {"op": "generate", "id": "a", "messages": "Hello"},
        {"op": "generate", "id": "a", "messages": MESSAGES, "sampling": {"best_of": 2}},
        {"op": "generate", "id": "a", "messages": MESSAGES, "priority": "urgent"},
        {"op": "generate", "id": "a", "messages": MESSAGES, "remaining": "soon"},
        {"op": "generate", "id": "a", "messages": MESSAGES, "tools": {"a": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_read_is_refused(values: Any) -> None:
    with pytest.raises(InvalidLlmRequest):
        read(json.dumps(values).encode())


def test_no_json_is_refused() -> None:
    with pytest.raises(InvalidLlmRequest):
        read(b"{")


def test_the_first_piece_goes_at_once_and_later_ones_together() -> None:
    coalescer = Coalescer(window=lambda: 0.01, tokens=3)
    assert coalescer.add("a", 1, 5.0)
    assert coalescer.take(5.0) == ("a", 1)
    assert not coalescer.add("b", 1, 5.004)
    assert coalescer.due == 5.01
    assert not coalescer.add("c", 1, 5.008)
    assert coalescer.add("d", 1, 5.009), "as many tokens as may wait"
    assert coalescer.take(5.009) == ("bcd", 3)
    assert coalescer.add("e", 1, 5.02), "steps slower than the window are not delayed"


def test_the_queue_is_bounded_and_batch_has_less_of_it() -> None:
    admission = AdmissionControl(running=2, queue=4, batch_share=0.5)
    for _ in range(2 + 2):
        admission.enter(batch=True, now=0)
    assert admission.queued == 2
    with pytest.raises(Overloaded):
        admission.enter(batch=True, now=0)
    for _ in range(2):
        admission.enter(batch=False, now=0)
    with pytest.raises(Overloaded) as caught:
        admission.enter(batch=False, now=0)
    assert caught.value.retry_after == 1
    admission.leave(0)
    admission.enter(batch=False, now=0)


def test_what_the_engine_cannot_run_counts_as_waiting() -> None:
    admission = AdmissionControl(running=100, queue=2, batch_share=1)
    for _ in range(5):
        admission.enter(batch=False, now=0)
    admission.waiting_in_engine = 2
    with pytest.raises(Overloaded):
        admission.enter(batch=False, now=0)


def test_the_wait_follows_from_the_rate() -> None:
    admission = AdmissionControl(running=1, queue=0, batch_share=1)
    for second in range(10):
        admission.enter(batch=False, now=second)
        admission.leave(second + 1)
    assert admission.retry_after(4, 11) == 4.0
    assert admission.retry_after(1000, 11) == 60.0
    assert admission.retry_after(4, 100) == 1.0, "what ended long ago says nothing"


def test_an_error_says_what_programs_need() -> None:
    told = plain(Failed.of(ContextTooLong.counted(30, 10, 32)))["error"]
    assert (told["kind"], told["reason"]) == ("INVALID_ARGUMENT", "CONTEXT_TOO_LONG")
    assert told["metadata"] == {"prompt_tokens": "30", "max_tokens": "10", "context_length": "32"}
    assert plain(Failed.of(Overloaded(4, 2.5)))["error"]["retry_after"] == 2.5


def test_settings_become_the_engines_arguments() -> None:
    settings = ModelsSettings(
        llm="org/model", llm_dtype="float32", llm_max_model_len=512, llm_kv_cache_gib=0.5, llm_tensor_parallel=2,
        llm_gpu_memory_utilization=0.5, llm_max_sequences=7, llm_max_batched_tokens=64, llm_prefix_caching=False,
        llm_quantization="fp8", llm_lora="a=/a,b=/b", llm_lora_rank=8, llm_speculative='{"method": "ngram"}',
        llm_structured_backend="guidance", llm_seed=3, llm_enforce_eager=True, llm_engine_args='{"block_size": 32}',
    )  # fmt: skip
    made = engine_arguments(settings, cpu=True)
    assert made == {
        "model": "org/model", "dtype": "float32", "max_model_len": 512, "kv_cache_memory_bytes": GIB // 2,
        "tensor_parallel_size": 2, "gpu_memory_utilization": 0.5, "max_num_seqs": 7, "max_num_batched_tokens": 64,
        "enable_prefix_caching": False, "quantization": "fp8", "enable_lora": True, "max_loras": 2, "max_lora_rank": 8,
        "speculative_config": {"method": "ngram"}, "structured_outputs_config": {"backend": "guidance"}, "seed": 3,
        "enforce_eager": True, "block_size": 32, "scheduling_policy": "priority", "enable_log_requests": False,
    }  # fmt: skip
    assert engine_arguments(ModelsSettings(llm="a/b"), cpu=True)["kv_cache_memory_bytes"] == GIB
    assert "kv_cache_memory_bytes" not in engine_arguments(ModelsSettings(llm="a/b"), cpu=False)
    assert engine_arguments(ModelsSettings(llm="a/b"), cpu=True)["distributed_executor_backend"] == IN_PROCESS
    assert "distributed_executor_backend" not in engine_arguments(ModelsSettings(llm="a/b"), cpu=False)
    won = ModelsSettings(llm="a/b", llm_seed=1, llm_engine_args='{"seed": 2}')
    assert engine_arguments(won, cpu=True)["seed"] == 2


@pytest.mark.parametrize(
    "changes",
    [{"llm_engine_args": "[]"}, {"llm_speculative": "{"}, {"llm_lora": "a"}, {"llm_lora": "a=/a,a=/b"}],
    ids=str,
)
def test_bad_settings_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ModelsSettings.model_validate(changes)


def test_the_model_is_laid_out_where_one_is_named(tmp_path: Path) -> None:
    assert not (lay_out_repository(tmp_path / "without", ModelsSettings()) / layout.LLM).exists()
    settings = ModelsSettings(llm='/models/"odd"\\é', llm_engine_args='{"block_size": 32}')
    config = (lay_out_repository(tmp_path / "with", settings) / "llm/config.pbtxt").read_text()
    (line,) = [line for line in config.splitlines() if 'key: "settings"' in line]
    string = line.partition("string_value: ")[2].removesuffix(" } }")
    assert ModelsSettings.model_validate_json(json.loads(string)) == settings


def folder(path: Path, **files: str) -> Path:
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def test_a_model_is_a_folder_or_a_name(tmp_path: Path) -> None:
    whole = folder(tmp_path, config__json='{"model_type": "llama"}', tokenizer__json="{}", model__safetensors="x")
    assert model_name(str(whole)) == str(whole)
    assert model_name("org/model-1.5B") == "org/model-1.5B"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "config.json"),
        ({"config__json": "{"}, "config.json cannot be read"),
        ({"config__json": "{}"}, "architectures"),
        ({"config__json": '{"model_type": "llama"}', "model__bin": "x"}, "tokenizer"),
        ({"config__json": '{"model_type": "llama"}', "vocab__json": "{}"}, "merges.txt"),
        ({"config__json": '{"model_type": "llama"}', "tokenizer__json": "{}"}, "no weights"),
        ({"config__json": '{"model_type": "llama"}', "tokenizer__json": "{}", "model__bin": ""}, "no weights"),
    ],
    ids=str,
)
def test_what_a_folder_lacks_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(CannotServe, match=said):
        model_name(str(folder(tmp_path, **files)))


@pytest.mark.parametrize("name", ["/nowhere/at/all", "nothing", "a/b/c", "./here", __file__])
def test_no_model(name: str) -> None:
    with pytest.raises(CannotServe):
        model_name(name)
