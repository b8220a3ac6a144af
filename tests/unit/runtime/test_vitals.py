"""What a process shows of itself."""

import asyncio
import math
import platform
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from infra.certificates.authority import make_authority
from services.runtime.health import Readiness
from services.runtime.vitals import ReadinessMetrics, Vitals
from tests.fakes.serving import until


def test_the_version_is_shown() -> None:
    registry = CollectorRegistry()
    Vitals(registry)
    (metric,) = [one for one in registry.collect() if one.name == "headworks_build_info"]
    assert [(sample.labels["python"], sample.value) for sample in metric.samples] == [(platform.python_version(), 1)]


@pytest.mark.parametrize("folder", ["", "not/yet/there"])
def test_the_space_is_that_of_the_disk_that_holds_the_folder_or_will(tmp_path: Path, folder: str) -> None:
    registry = CollectorRegistry()
    Vitals(registry).data({"records": tmp_path / folder})
    free = registry.get_sample_value("headworks_data_free_bytes", {"data": "records"})
    size = registry.get_sample_value("headworks_data_size_bytes", {"data": "records"})
    assert free is not None
    assert size is not None
    assert 0 < free < size


def test_a_folder_that_cannot_be_asked_about_is_not_a_number(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    (tmp_path / "file").touch()
    Vitals(registry).data({"records": tmp_path / "file" / "within"})
    assert math.isnan(registry.get_sample_value("headworks_data_free_bytes", {"data": "records"}) or 0.0)


def test_a_certificates_end_is_that_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    file = tmp_path / "own.crt"
    Vitals(registry).certificates([("own", file)])

    def days_left() -> float:
        name, labels = "headworks_certificate_expiry_timestamp_seconds", {"certificate": "own"}
        return ((registry.get_sample_value(name, labels) or 0.0) - time.time()) / 86_400

    assert math.isnan(days_left())
    for days in (1, 30):
        file.write_bytes(make_authority(days).certificate)
        assert days_left() == pytest.approx(days, abs=0.1)


async def test_readiness_says_what_is_missing() -> None:
    async def well() -> bool:
        return True

    async def ill() -> bool:
        return False

    readiness = Readiness([], {"store": well}, {"triton": ill})
    registry = CollectorRegistry()
    ReadinessMetrics(registry).show(readiness)

    def shown() -> tuple[float | None, ...]:
        return (
            registry.get_sample_value("headworks_ready"),
            registry.get_sample_value("headworks_dependency_ready", {"dependency": "store", "needed": "true"}),
            registry.get_sample_value("headworks_dependency_ready", {"dependency": "triton", "needed": "false"}),
        )

    assert shown() == (0, 0, 0)
    watching = asyncio.create_task(readiness.watch())
    await until(lambda: shown() == (1, 1, 0))
    watching.cancel()
    assert readiness.missing() == ["triton"]
