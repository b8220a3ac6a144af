"""One control and one Envoy for the whole folder; replicas come and go with each test."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.integration.control.harness import EDGE_TOKEN, Gateway, Mesh, serving


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """With short time limits, so that a test of one does not take long."""
    folder = tmp_path_factory.mktemp("mesh")
    (folder / "edge.token").write_text(EDGE_TOKEN)
    one = Mesh(
        folder, {"REQUEST_TIMEOUT_SECONDS": "4", "CORS_ORIGINS": '["https://app.example"]', "MAX_HEADER_KB": "8",
         "EDGE_TOKEN_FILE": str(folder / "edge.token")},
    )  # fmt: skip
    with one.control(), one.envoy():
        yield one


@pytest.fixture
async def gateway(mesh: Mesh) -> AsyncIterator[Gateway]:
    """One replica, known to Envoy and well."""
    one = Gateway("gateway-0")
    async with serving(one) as port:
        await mesh.set_endpoints("gateway", {"gateway-0": port})
        await mesh.healthy(port)
        yield one


@pytest.fixture
async def http(mesh: Mesh) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=mesh.url, timeout=20) as client:
        yield client
