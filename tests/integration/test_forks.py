"""Every process of the mesh tells gRPC to leave forked children alone, before gRPC is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1].parent
# Says what the variable is at the first import of grpc, then whether there was one.
WATCH = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            sys.meta_path.remove(self)
            print("fork support:", os.environ.get("GRPC_ENABLE_FORK_SUPPORT"))
sys.meta_path.insert(0, Watch())
for name in sys.argv[1:]:
    importlib.import_module(name)
import grpc
"""


def entries() -> list[str]:
    """The modules that processes begin with, and one of each package that tests and benchmarks begin with."""
    mains = [path for top in ("services", "gateway") for path in (ROOT / top).rglob("__main__.py")]
    started = [path for top in ("services", "gateway", "infra") for path in (ROOT / top).rglob("*.py")
               if "__main__" in path.read_text("utf-8") and path.name != "__main__.py"]  # fmt: skip
    assert len(mains) >= 4
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (*mains, *started)]
    return sorted({*names, "cli.program", "cli.client", "infra.local.session", "bench.asks", "tests.conftest"})


@pytest.mark.parametrize("module", entries())
def test_fork_support_is_off_before_grpc_is_loaded(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, module], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[:1] == ["fork support: 0"], done.stdout + done.stderr[-2000:]
