"""The file that is read, by today's setting or an older one, and the way to an upstream."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.catalogue.file import BadCatalogue, CatalogueFile, parse
from services.llm.catalogue.route import RouteSpec, TargetSpec
from services.llm.client import HttpClient
from services.llm.models import ModelFactory, read_file
from services.llm.settings import LlmSettings, proxy_of

OLDER = "HEADWORKS_GATEWAY_UPSTREAMS_FILE"
UPSTREAM = CatalogueEntry("small", EngineKind.OPENAI, base_url="http://127.0.0.1:1/v1", api_key_env="KEY", bare=True)


def test_without_a_file_there_are_no_models() -> None:
    assert read_file(LlmSettings(), None, OLDER) == CatalogueFile()


def test_an_older_file_is_read_with_todays_form_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "upstreams.yaml"
    path.write_text("models: {small: {base_url: 'http://h/v1', input_price: 2, idle_seconds: 7}}")
    found = read_file(LlmSettings(), path, OLDER)
    assert OLDER in caplog.records[0].getMessage()
    told = caplog.records[1].getMessage()
    assert parse(told.partition("it is\n")[2], "told").entries == found.entries
    assert found.entries[0].first_byte_seconds == 7


def test_todays_file_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models:\n  - {name: small, generator: openai, base_url: 'http://h/v1'}")
    with caplog.at_level(logging.DEBUG):
        assert [entry.name for entry in read_file(LlmSettings(models_file=path), None, OLDER).entries] == ["small"]
    assert not caplog.records


def test_a_file_named_both_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCatalogue, match=OLDER):
        read_file(LlmSettings(models_file=tmp_path / "a"), tmp_path / "b", OLDER)


def test_a_handle_has_what_its_entry_says() -> None:
    engines = ModelFactory(HttpClient(), {"KEY": "secret"}.get)
    assert engines.handle(UPSTREAM).entry == engines.bare(UPSTREAM).entry == UPSTREAM
    assert engines.bare(UPSTREAM).engine.endpoint.headers["authorization"] == "Bearer secret"
    with pytest.raises(BadCatalogue, match="KEY"):
        ModelFactory(HttpClient(), lambda _: None).bare(UPSTREAM)
    with pytest.raises(ValueError, match="triton"):
        engines.handle(CatalogueEntry("own", EngineKind.TRITON))


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://llm.example/v1", "http://proxy:3128"),
        ("http://llm.example/v1", ""),
        ("https://inside.example/v1", ""),
        ("", ""),
    ],
)
def test_a_proxy_is_the_environments(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str) -> None:
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_of(url) == proxy


def test_a_proxy_of_another_kind_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://proxy:1080")
    assert proxy_of("https://llm.example/v1") == ""


def test_the_metrics_of_a_model_are_those_of_the_target_that_is_asked() -> None:
    """However many routes lead to it."""
    models = ModelFactory(HttpClient(), {"KEY": "secret"}.get)
    entry = replace(UPSTREAM, name="metered")
    models.handle(entry)
    for name in ("one", "other"):
        models.route(RouteSpec(name, (TargetSpec("metered"),)), {"metered": entry})
    models.targets["metered"].breaker.hold(60)
    assert REGISTRY.get_sample_value("headworks_model_breaker_open", {"model": "metered"}) == 1
