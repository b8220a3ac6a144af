"""`python -m tests.fakes.tiny_llm.train FOLDER`: trains the tiny model into a folder, and says how it goes."""

import sys
from pathlib import Path

from tests.fakes.tiny_llm.making import make

if __name__ == "__main__":
    make(Path(sys.argv[1]), lambda line: print(line, flush=True))
