"""Where settings come from, and what is said of bad ones."""

import os
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from services.runtime import settings
from services.runtime.settings import ServerSettings, Settings, unknown_variables


class Widget(Settings):
    service: ClassVar[str] = "widget"

    port: int = Field(1, ge=1, le=65535)
    name: str = "default"
    folder: Path = Path("here")


class Gadget(ServerSettings):
    service: ClassVar[str] = "gadget"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEADWORKS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "headworks.toml"
    monkeypatch.setenv("HEADWORKS_CONFIG", str(path))
    return path


def test_the_defaults() -> None:
    assert (Widget().port, Widget().name, Widget().folder) == (1, "default", Path("here"))


@pytest.mark.parametrize(
    ("environment", "file", "port"),
    [("", "", 1), ("", "port = 2", 2), ("3", "", 3), ("3", "port = 2", 3)],
    ids=["default", "file", "environment", "environment over file"],
)
def test_the_order_of_sources(
    config: Path, monkeypatch: pytest.MonkeyPatch, environment: str, file: str, port: int
) -> None:
    config.write_text(f"[widget]\n{file}\n[gadget]\nport = 9\n")
    monkeypatch.setenv("HEADWORKS_WIDGET_PORT", environment)
    assert Widget().port == port
    assert Widget(port=4).port == 4


def test_each_service_has_its_own_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWORKS_GADGET_HOST", "10.0.0.1")
    monkeypatch.setenv("HEADWORKS_SERVER_HOST", "10.0.0.2")
    assert (Gadget().host, ServerSettings().host) == ("10.0.0.1", "10.0.0.2")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Widget().port = 2  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[widget]\nprot = 2", "prot"),
        ("[widget]\nport = 'many'", "port"),
        ("[widget]\nport = 0", "port"),
        ("widget = 3", "must be a table"),
        ("[widget", "cannot be read"),
        ("[widget]\nname = '\udcff'", "cannot be read"),
    ],
)
def test_a_bad_file_is_named(config: Path, content: str, said: str) -> None:
    config.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=said):
        Widget()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[widgt]\nport = 2", r"the table \[widgt\] is no service's; did you mean widget\?"),
        ("[widget]\nport = 2\n[gatway]\n", r"\[gatway\] is no service's; did you mean gateway\?"),
        ("port = 2", r"the table \[port\] is no service's: there are .*gateway.*widget"),
        ("[widget]\nprot = 2", r"\[widget\] has no setting 'prot'; did you mean port\?"),
        ("[widget]\nzzz = 2", r"\[widget\] has no setting 'zzz'$"),
    ],
)
def test_a_misspelt_name_in_the_file_is_refused_with_the_nearest(config: Path, content: str, said: str) -> None:
    config.write_text(content)
    with pytest.raises(ValueError, match=said):
        Widget()


@pytest.mark.parametrize("service", ["gateway", "orchestrator", "retrieval", "control", "llm", "models", "gadget"])
def test_other_services_may_have_tables(config: Path, service: str) -> None:
    config.write_text(f"[{service}]\nport = 2\n[widget]\nport = 3\n")
    assert Widget().port == 3


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other services' settings are not loaded, whatever other tests have loaded."""
    monkeypatch.setattr(settings, "_classes", lambda _: [Widget, Gadget])


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("HEADWORKS_WIDGET_PROT", "; did you mean HEADWORKS_WIDGET_PORT?"),
        ("headworks_widget_prot", "; did you mean HEADWORKS_WIDGET_PORT?"),
        ("HEADWORKS_WIDGT_PORT", "; did you mean HEADWORKS_WIDGET_PORT?"),
        ("HEADWORKS_GADGET_LOGLEVEL", "; did you mean HEADWORKS_GADGET_LOG_LEVEL?"),
        ("HEADWORKS_WIDGET_ZZZ", ""),
        ("HEADWORKS_CONFG", "; did you mean HEADWORKS_CONFIG?"),
        ("HEADWORKS_XYZZY", ""),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, variable: str, said: str
) -> None:
    monkeypatch.setenv(variable, "1")
    assert unknown_variables() == [f"{variable} is no setting, and has no effect{said}"]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    "variable",
    ["HEADWORKS_WIDGET_PORT", "headworks_widget_port", "HEADWORKS_CONFIG", "HEADWORKS_KEY", "HEADWORK_WIDGET_PROT",
     "HEADWORKS_ORCHESTRATOR_ANYTHING", "HEADWORKS_WIDGET_SERVICE_HOST", "HEADWORKS_WIDGET_SERVICE_PORT_GRPC",
     "HEADWORKS_WIDGET_PORT_80_TCP", "HEADWORKS_WIDGET_PORT_80_TCP_ADDR"],
)  # fmt: skip
def test_what_is_read_or_is_not_ours_to_judge_is_not_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    assert unknown_variables() == []


def test_a_missing_file_is_named(config: Path) -> None:
    with pytest.raises(ValueError, match=r"HEADWORKS_CONFIG names .*headworks\.toml, which cannot be read"):
        Widget()


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWORKS_GADGET_LOG_LEVEL", "loud")
    with pytest.raises(ValidationError, match="log_level"):
        Gadget()


@pytest.mark.parametrize(("replica", "name"), [("", "gadget-0"), ("gadget-3", "gadget-3")])
def test_the_name_of_a_replica(replica: str, name: str) -> None:
    assert Gadget(replica=replica).replica_name == name
