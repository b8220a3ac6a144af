"""`python -m services.models.smollm2 SOURCE FOLDER`: the conversion, in a process whose memory goes with it."""

import sys
from pathlib import Path

from services.models.smollm2 import TEMPLATE
from services.models.smollm2.convert import convert

if __name__ == "__main__":
    convert(Path(sys.argv[1]), TEMPLATE, Path(sys.argv[2]))
