"""What `headworks up` shows: a live table on a terminal, plain lines elsewhere, JSON lines for programs."""

import json
import shlex
import threading
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live

from cli import shell
from cli.mesh.status import mesh_table
from cli.output import console
from infra.local.state import MeshState, ProcessState, to_json

QUESTION = "What happens when control dies?"
# Of the folder that the mesh is started in.
TO_READ = ("README.md", "docs")
TALK = "What is a waterwheel?"
MESSAGES = [{"role": "user", "content": QUESTION}]


class Screen(Protocol):
    """Shows a mesh while it starts and runs. `show` is called with each new state."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    def show(self, state: MeshState) -> None: ...

    def ready(self, key: Path, state: MeshState, llm: bool) -> None: ...


class PlainScreen:
    """One line for each change of a process."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, tuple[object, ...]] = {}
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False

    def show(self, state: MeshState) -> None:
        for process in state.processes if self._open else ():
            now = (process.state, process.ready, process.restarts)
            if self._seen.get(process.name) != now:
                self._seen[process.name] = now
                self._changed(state, process)

    def ready(self, key: Path, state: MeshState, llm: bool) -> None:
        self._console.print("\n".join(welcome(key, state, llm)), soft_wrap=True)

    def _changed(self, state: MeshState, process: ProcessState) -> None:
        reason = "" if process.reason == process.state else process.reason
        status = "ready" if process.ready else reason
        restarts = f"restarts: {process.restarts}" if process.restarts else ""
        words = (f"{process.name:<16}", f"{process.state:<10}", f"{process.address:<16}", status, restarts)
        line = "  ".join(words).rstrip()
        self._console.print(line, soft_wrap=True)


class _JsonScreen(PlainScreen):
    """One JSON object for each change of a process, and one with everything when the mesh is ready."""

    def _changed(self, state: MeshState, process: ProcessState) -> None:
        entry = next(entry for entry in to_json(state)["processes"] if entry["name"] == process.name)
        print(json.dumps({"event": "process", "phase": state.phase, **entry}), flush=True)

    def ready(self, key: Path, state: MeshState, llm: bool) -> None:
        print(json.dumps({"event": "ready", "dev_key": str(key), **to_json(state)}), flush=True)


class _TableScreen:
    """A table that is drawn anew with each change, and each second for the memory."""

    def __init__(self, console: Console) -> None:
        self._state: MeshState | None = None
        self._lock = threading.Lock()
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.__exit__(kind, error, tb)

    def show(self, state: MeshState) -> None:
        self._state = state

    def ready(self, key: Path, state: MeshState, llm: bool) -> None:
        self._state = state
        text = "\n".join(welcome(key, state, llm))
        self._live.console.print(text, soft_wrap=True)

    def _render(self) -> RenderableType:
        return mesh_table(self._state, self._live.console.width) if self._state else ""


def make_screen(as_json: bool) -> Screen:
    out = console()
    if as_json:
        return _JsonScreen(out)
    return _TableScreen(out) if out.is_terminal else PlainScreen(out)


def welcome(key: Path, state: MeshState, llm: bool = False) -> list[str]:
    """The lines to print; `key` is the file of the development key, `llm` says that there is a language model. Each
    command runs in any shell, anywhere."""
    seconds = f" in {state.seconds_to_ready:.1f} s" if state.seconds_to_ready else ""
    here = [str(path) for path in map(Path.absolute, map(Path, TO_READ)) if path.exists()]
    return [
        f"\nReady{seconds}. Ctrl-C stops it.",
        f"  edge             {state.edge}",
        *([f"  its CA           {state.ca}"] if state.ca else []),
        f"  development key  the one line of {key}",
        "\nIn another shell, give it something to read:",
        f"  {shell.headworks('ingest', *(here or ['FOLDER']), data=key.parent)}",
        "\nThen try:",
        f"  {shell.headworks('ask', QUESTION, data=key.parent)}",
        *(
            [f"  {shell.headworks('ask', TALK, '--agent', 'chat', '--session', 'mine', data=key.parent)}"]
            if llm
            else []
        ),
        f"  {curl(key, state.edge, state.ca)}",
        f"  {python(key, state.edge, state.ca)}",
        "",
    ]


def curl(key: Path, edge: str, ca: str = "") -> str:
    """A chat completion with curl."""
    body = shlex.quote(json.dumps({"model": "rag", "messages": MESSAGES}))
    bearer = f'"Authorization: Bearer $(cat {shlex.quote(str(key))})"'
    trusting = f" --cacert {shlex.quote(ca)}" if ca else ""
    return f"curl -s{trusting} {edge}/v1/chat/completions -H {bearer} -H 'Content-Type: application/json' -d {body}"


def python(key: Path, edge: str, ca: str = "") -> str:
    """The same with the openai package."""
    code = (
        "from openai import OpenAI; "
        f"mesh = OpenAI(base_url={f'{edge}/v1'!r}, api_key=open({str(key)!r}).read().strip()); "
        f"print(mesh.chat.completions.create(model='rag', messages={MESSAGES!r}).choices[0].message.content)"
    )
    trusting = f"SSL_CERT_FILE={shlex.quote(ca)} " if ca else ""
    easy = not set(code) & set('"$`\\!')
    return f"{trusting}{shell.python()} -c " + (f'"{code}"' if easy else shlex.quote(code))
