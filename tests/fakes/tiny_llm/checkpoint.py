"""The tiny model's checkpoint, from the cache or newly trained in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

from services.models import checkpoints
from tests.fakes.tiny_llm import cache
from tests.fakes.tiny_llm.places import placed
from tests.fakes.tiny_llm.scenarios import SCENARIOS

ROOT = Path(__file__).parents[3]
# Those that have no say in what is learned.
OTHERS = ("__init__.py", "__main__.py", "adapter.py", "cache.py", "checkpoint.py", "fixtures.py", "train.py")
# Threads that wait by sleeping: spinning ones take ten times as long where other processes want the same cores.
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}


def inputs() -> list[Path]:
    """Everything that the checkpoint depends on, but for the libraries."""
    here = Path(__file__).parent
    return [path for path in (*here.glob("*.py"), *here.glob("*.jinja")) if path.name not in OTHERS]


def read_in_a_mesh() -> str:
    """The examples in their places: what agents, tools and templates have to say in the matter."""
    met = [
        placed(place, one.filled(values), Random(0))
        for one in SCENARIOS
        for values in one.examples
        for place in one.places
    ]
    return json.dumps(met)


def tiny_llm(say: Callable[[str], None] = lambda line: None) -> Path:
    """The folder of a checkpoint that is right for every scenario: trained now, in minutes, if there is none."""
    return checkpoints.kept("tiny-llm", cache.key_of(inputs(), read_in_a_mesh()), lambda folder: train(folder, say))


def train(folder: Path, say: Callable[[str], None]) -> None:
    """Trains into `folder`. Raises RuntimeError with the end of what the training said, if it fails."""
    command = [sys.executable, "-m", "tests.fakes.tiny_llm.train", str(folder)]
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                say(lines[-1])
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError("the tiny model could not be trained:\n" + "\n".join(lines[-20:]))
