"""One mesh for the tests that only use it; those that break it start their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.meshes import Mesh, running
from tests.e2e.upstreams import obeying
from tests.fakes.openai_upstream import FakeOpenAi

COLLECTION = "handbook"
HANDBOOK = {
    "rivers.md": "# Rivers\n\nThe Danube flows through ten countries. It rises in the Black Forest of Germany.\n\n"
    "The Rhine empties into the North Sea near Rotterdam. Its source lies in the Swiss Alps.\n",
    "bees.md": "# Bees\n\nA honey bee colony has a single queen. The queen can lay 2,000 eggs in a day.\n\n"
    "Worker bees tell others where flowers are by a waggle dance. A worker lives six weeks in summer.\n",
    "长城.txt": "长城是中国古代的防御工事。明长城全长八千八百五十公里。\n\n长城东起虎山,西至嘉峪关。\n",
}


@pytest.fixture(scope="session")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small documents."""
    folder = tmp_path_factory.mktemp("handbook")
    for name, text in HANDBOOK.items():
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeOpenAi]:
    """An upstream of a model that says what it is told to."""
    with obeying() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory, handbook: Path) -> Iterator[Mesh]:
    """A mesh that has read the handbook."""
    with running(tmp_path_factory.mktemp("mesh") / "data") as mesh:
        ingested = mesh.command("ingest", ".", "--collection", COLLECTION, "--json", cwd=handbook)
        assert ingested.returncode == 0, ingested.stdout + ingested.stderr
        yield mesh
