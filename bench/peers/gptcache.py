"""GPTCache with its defaults for similar questions, over vectors that are given to it; in an environment of its own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from bench.kit import BenchError
from bench.peers.place import installed, place

VERSION = "0.1.44"
SECONDS = 600.0
SCRIPT = """\
import json, sys, tempfile
import numpy as np
from gptcache import Cache
from gptcache.adapter.api import get, init_similar_cache, put

class Vectors:
    def __init__(self, vectors):
        self.vectors = {text: np.array(vector, dtype="float32") for text, vector in vectors.items()}
        self.dimension = len(next(iter(self.vectors.values())))
    def to_embeddings(self, data, **kwargs):
        return self.vectors[data]

asked = json.load(sys.stdin)
embedding, found = Vectors(asked["vectors"]), []
for one, others in asked["groups"]:
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache()
        init_similar_cache(data_dir=folder, cache_obj=cache, embedding=embedding)
        put(one, "the answer", cache_obj=cache)
        found.append([get(other, cache_obj=cache) is not None for other in others])
json.dump(found, sys.stdout)
"""


def hits(
    vectors: Mapping[str, Sequence[float]], groups: Iterable[tuple[str, Sequence[str]]], say: Callable[[str], None]
) -> list[list[bool]]:
    """Whether it gives the answer to the first question of each group to each of the others. Raises BenchError."""
    home = installed(place("gptcache", VERSION), _commands(), say)
    given = json.dumps({"vectors": vectors, "groups": list(groups)})
    ended = subprocess.run(
        [home / "venv" / "bin" / "python", "-c", SCRIPT], input=given, capture_output=True, text=True,
        timeout=SECONDS, check=False, cwd=home,
    )  # fmt: skip
    if ended.returncode:
        raise BenchError(f"GPTCache failed: {ended.stderr[-2000:]}")
    answered: list[list[bool]] = json.loads(ended.stdout)
    return answered


def _commands() -> Sequence[Sequence[str]]:
    pip = str(Path("venv") / "bin" / "pip")
    return [
        [sys.executable, "-m", "venv", "venv"],
        [pip, "install", "-q", f"gptcache=={VERSION}", "faiss-cpu", "numpy<2", "sqlalchemy<3"],
    ]
