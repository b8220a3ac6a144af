"""How a run is shown while it runs: a line an event, its text as it flows; or JSON lines for programs."""

import json
from typing import Protocol, Self

import click
from google.protobuf.json_format import MessageToDict
from headworks.orchestrator.v1 import run_event_pb2
from rich.console import Console
from rich.text import Text

from cli.lines import STYLES, line
from cli.output import console

RunEvent = run_event_pb2.RunEvent


class Watcher(Protocol):
    """Enter it while events are shown."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: RunEvent) -> None: ...


class JsonLines:
    """One JSON object an event."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, event: RunEvent) -> None:
        shown = MessageToDict(event, preserving_proto_field_name=True)
        click.echo(json.dumps(shown, ensure_ascii=False))


class Lines:
    """The text of an answer flows on where pieces follow each other."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._flowing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def show(self, event: RunEvent) -> None:
        kind, words = line(event)
        if kind == "text":
            if not self._flowing:
                self._begin(event, kind)
            self._flowing = True
            self._out.print(words, end="", markup=False)
            return
        self._close()
        self._begin(event, kind)
        self._out.print(Text(words))
        if kind == "approval":
            way = f"headworks run decide {event.run_id} {event.approval_request.approval_id} --yes"
            self._out.print(f"{'':19}{way}", style="dim", markup=False)

    def _close(self) -> None:
        if self._flowing:
            self._out.print()
        self._flowing = False

    def _begin(self, event: RunEvent, kind: str) -> None:
        self._out.print(Text(f"{event.sequence:>4}  {kind:<11}  ", style=STYLES.get(kind, "")), end="")


def make_watcher(as_json: bool) -> Watcher:
    return JsonLines() if as_json else Lines(console())
