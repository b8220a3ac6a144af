"""Which mesh a verb talks to, and how: what the options say, in one object."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.options import Verb, mesh_options, timeout_option

if TYPE_CHECKING:
    from cli.client import Client


@dataclass(frozen=True, slots=True)
class Target:
    """The options that the verbs share."""

    data: Path | None
    edge: str | None
    key: str | None
    timeout: float
    as_json: bool

    @contextmanager
    def calling(self) -> "Iterator[Client]":
        """A client whose failed calls end the command. Raises CliError."""
        from cli.client import calling
        from cli.find import find_edge

        with calling(find_edge(self.data, self.edge, self.key)) as client:
            yield client

    def options(self, client: "Client") -> Any:
        """The keyword arguments of a stub's call."""
        return {"timeout": self.timeout, "metadata": client.metadata}


def on_mesh(seconds: float) -> Callable[[Verb], Verb]:
    """--data, --edge, --key, --json and --timeout, `seconds` by default, given to the verb as `on`, a Target."""

    def decorate(verb: Verb) -> Verb:
        @functools.wraps(verb)
        def called(
            *args: Any,
            data: Path | None,
            edge: str | None,
            key: str | None,
            timeout: float,
            as_json: bool,
            **kwargs: Any,
        ) -> Any:
            return verb(*args, on=Target(data, edge, key, timeout, as_json), **kwargs)

        return timeout_option(seconds)(mesh_options(called))

    return decorate
