"""Commands to be copied into another shell, where neither this folder nor its virtual environment is known."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from cli.options import MeshOptions

PROGRAM = "headworks"


def headworks(*arguments: str, data: Path | None = None) -> str:
    """A command line of this program. It means the mesh on `data`, else the one that the verb that runs means."""
    mesh = ["--data", str(data.absolute())] if data else _same_mesh()
    return shlex.join([_program(), *arguments, *mesh])


def python() -> str:
    """This Python."""
    return shlex.quote(sys.executable)


def _program() -> str:
    """The name, where a shell finds it that was not made ready for it; else the whole path."""
    own = Path(sys.executable).with_name(PROGRAM)
    environment = str(own.parent)
    elsewhere = os.pathsep.join(
        folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and folder != environment
    )
    known = shutil.which(PROGRAM, path=elsewhere)
    if not own.is_file() or (known and Path(known).resolve() == own.resolve()):
        return PROGRAM
    return str(own)


def _same_mesh() -> list[str]:
    """The options that name the mesh of the verb that runs. A key is named by nobody: it would stay on the screen."""
    context = click.get_current_context(silent=True)
    on = context.meta.get(MeshOptions.META) if context else None
    if not isinstance(on, MeshOptions):
        return []
    if on.edge:
        return ["--edge", on.edge, *(["--data", str(on.data.absolute())] if on.data else [])]
    from cli.edge import find_data

    return ["--data", str(find_data(on.data))]
