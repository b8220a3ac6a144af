"""Compile the protos to Python beside them.

python protos/generate.py           write *_pb2.py, *_pb2_grpc.py and their .pyi
python protos/generate.py --check   exit 1 if what is committed differs from what would be written
"""

import filecmp
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
MESSAGES = ("--python_out", "--mypy_out")
SERVICES = ("--grpc_python_out", "--mypy_grpc_out")


def googleapis() -> Path:
    """The folder below which the googleapis-common-protos wheel keeps google/api/*.proto."""
    spec = importlib.util.find_spec("google.api.annotations_pb2")
    if spec is None or spec.origin is None:
        raise SystemExit("googleapis-common-protos is not installed: run `make setup`")
    return Path(spec.origin).parents[2]


def compile_to(out: Path) -> None:
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("headworks/**/*.proto"))
    _protoc(out, MESSAGES, sources)
    _protoc(out, SERVICES, [source for source in sources if source.endswith("_service.proto")])


def _protoc(out: Path, kinds: Sequence[str], sources: Sequence[str]) -> None:
    plugins = Path(sys.executable).parent
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", f"-I{googleapis()}"),
            *(f"--plugin={plugins / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
            *(f"{kind}={out}" for kind in kinds),
            *sources,
        ],
        check=True,
        cwd=ROOT,
        stderr=subprocess.PIPE,  # the plugins name each file they write there; it is shown where protoc fails
        text=True,
    )


def generated(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.glob("headworks/**/*_pb2*.py*") if path.suffix in (".py", ".pyi")}


def stale() -> list[str]:
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        compile_to(fresh)
        names = generated(fresh) | generated(ROOT)
        _, different, missing = filecmp.cmpfiles(fresh, ROOT, [str(name) for name in names], shallow=False)
        return sorted(different + missing)


def main() -> int:
    if "--check" in sys.argv[1:]:
        differing = stale()
        for name in differing:
            print(f"not up to date: protos/{name}", file=sys.stderr)
        if differing:
            print("run `make generate` and commit what it writes", file=sys.stderr)
        return 1 if differing else 0
    try:
        compile_to(ROOT)
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.stderr) from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
