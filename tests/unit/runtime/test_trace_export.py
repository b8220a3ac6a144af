"""Where spans go: as a service's settings say, else as the usual variables of OpenTelemetry do."""

import os
from typing import Any

import pytest

from services.runtime.settings import OFF, TraceExport, trace_export

HERE, THERE = "http://127.0.0.1:4317", "https://collector.example:4317"

TABLE: list[tuple[str, dict[str, str], float | None, dict[str, Any]]] = [
    ("", {}, None, {"on": False}),
    (HERE, {}, None, {"endpoint": HERE, "collector": HERE, "ratio": 1.0, "new_traces": 1.0}),
    (HERE, {}, 0.25, {"ratio": 0.25, "new_traces": 0.25}),
    ("", {"EXPORTER_OTLP_ENDPOINT": THERE}, None, {"endpoint": "", "collector": THERE, "http": False}),
    (HERE, {"EXPORTER_OTLP_ENDPOINT": THERE}, None, {"endpoint": HERE, "collector": HERE}),
    ("", {"EXPORTER_OTLP_ENDPOINT": "http://c:4318", "EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, None,
     {"http": True, "collector": "http://c:4318/v1/traces"}),
    ("", {"EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/x", "EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, None,
     {"http": True, "collector": "http://c:4318/x"}),
    ("", {"EXPORTER_OTLP_ENDPOINT": "c:4317"}, None, {"collector": "http://c:4317"}),
    ("", {"TRACES_EXPORTER": "otlp"}, None, {"collector": HERE}),
    ("", {"TRACES_EXPORTER": "otlp", "EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, None,
     {"collector": "http://127.0.0.1:4318/v1/traces"}),
    (HERE, {"TRACES_EXPORTER": "none"}, None, {"on": False}),
    (HERE, {"SDK_DISABLED": "true"}, None, {"on": False}),
    (HERE, {"TRACES_SAMPLER": "parentbased_traceidratio", "TRACES_SAMPLER_ARG": "0.1"}, None,
     {"ratio": None, "new_traces": 0.1}),
    (HERE, {"TRACES_SAMPLER": "parentbased_always_off"}, None, {"ratio": None, "new_traces": 0.0}),
    (HERE, {"TRACES_SAMPLER": "always_off"}, 0.5, {"ratio": 0.5, "new_traces": 0.5}),
    ("", {"EXPORTER_OTLP_ENDPOINT": HERE, "EXPORTER_OTLP_HEADERS": "Api-Key=a%20b, x = y"}, None,
     {"headers": {"api-key": "a b", "x": "y"}}),
    ("", {"EXPORTER_OTLP_ENDPOINT": THERE, "EXPORTER_OTLP_CERTIFICATE": "/ca.pem"}, None, {"ca": "/ca.pem"}),
]  # fmt: skip


@pytest.mark.parametrize(("endpoint", "variables", "ratio", "wanted"), TABLE)
def test_the_settings_go_before_the_variables(
    monkeypatch: pytest.MonkeyPatch,
    endpoint: str,
    variables: dict[str, str],
    ratio: float | None,
    wanted: dict[str, Any],
) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    export = trace_export(endpoint, ratio)
    assert {name: getattr(export, name) for name in wanted} == wanted
    if not wanted.get("on", True):
        assert export == OFF


def test_a_header_is_not_shown() -> None:
    assert "secret" not in repr(TraceExport(True, headers={"api-key": "secret"}))
