"""What `headworks up` and `headworks config` say of names that are no settings, before anything starts."""

import os
from pathlib import Path

import pytest

from cli import program


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWORKS_CONFIG", "")  # set back in the end, for the command sets it
    for name in [name for name in os.environ if name.startswith("HEADWORKS_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[gatway]\nlog_level = 'debug'\n", "the table [gatway] is no service's; did you mean gateway?"),
        ("[gateway]\nlog_levl = 'debug'\n", "[gateway] has no setting 'log_levl'; did you mean log_level?"),
        ("[models]\nstart_secs = 5\n", "[models] has no setting 'start_secs'; did you mean start_seconds?"),
        ("[llm]\nmodel_file = 'x'\n", "[llm] has no setting 'model_file'; did you mean models_file?"),
        ("log_level = 'debug'\n", "the table [log_level] is no service's"),
        ("[models]\nllm_max_sequences = 'x'\n", "the settings of models are not valid: llm_max_sequences: "),
    ],
)
@pytest.mark.parametrize("verb", ["up", "config"])
def test_a_file_with_what_is_wrong_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, content: str, said: str
) -> None:
    (tmp_path / "headworks.toml").write_text(content)
    assert program.run([verb, "--config", "headworks.toml", "--data", "data"]) in (1, 2)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_unknown_variables_are_warned_of_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HEADWORKS_GATEWAY_LOGLEVEL", "HEADWORKS_MODEL_LLM", "HEADWORKS_GATEWAY_LOG_LEVEL", "HEADWORKS_KEY"):
        monkeypatch.setenv(name, "info")
    assert program.run(["config", "gateway"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "headworks: warning: HEADWORKS_GATEWAY_LOGLEVEL is no setting, and has no effect; did you mean "
        "HEADWORKS_GATEWAY_LOG_LEVEL?",
        "headworks: warning: HEADWORKS_MODEL_LLM is no setting, and has no effect; did you mean HEADWORKS_MODELS_LLM?",
    ]


@pytest.mark.parametrize(
    ("variable", "url", "said"),
    [
        ("GATEWAY_RECORDS_URL", "mysql://me:hidden@h/d", "sqlite or postgresql, not in 'mysql'"),
        ("ORCHESTRATOR_RECORDS_URL", "mysql+pymysql://me:hidden@h/d", "sqlite or postgresql"),
        ("GATEWAY_RECORDS_URL", "sqlite://", "records in SQLite need a file"),
        ("ORCHESTRATOR_RECORDS_URL", "/hidden/runs.db", "records need a URL"),
        ("GATEWAY_REDIS_URL", "http://me:hidden@h", "should match"),
    ],
)
def test_a_database_that_is_not_supported_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, url: str,
    said: str,
) -> None:  # fmt: skip
    monkeypatch.setenv(f"HEADWORKS_{variable}", url)
    assert program.run(["up", "--data", "data"]) in (1, 2)
    err = capsys.readouterr().err
    assert said in err
    assert variable.partition("_")[2].lower() in err
    assert "hidden" not in err
    assert not (tmp_path / "data").exists()
