"""`python -m tests.fakes.tiny_llm [--out DIR] [--json]`: makes the tiny model or finds it made, and says where."""

import argparse
import json
import shutil
import sys
from pathlib import Path

from tests.fakes.tiny_llm.checkpoint import tiny_llm


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.tiny_llm", description=__doc__)
    parser.add_argument("--out", type=Path, help="copy the checkpoint to this folder")
    parser.add_argument("--json", action="store_true", help="print the folder and how it was made as JSON")
    options = parser.parse_args()
    folder = tiny_llm(lambda line: print(line, file=sys.stderr, flush=True))
    if options.out:
        folder = Path(shutil.copytree(folder, options.out, dirs_exist_ok=True))
    made = json.loads((folder / "training.json").read_text("utf-8"))
    print(json.dumps({"folder": str(folder), **made}) if options.json else folder)


if __name__ == "__main__":
    main()
