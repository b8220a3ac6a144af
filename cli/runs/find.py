"""A run by its id, or by the beginning of it, as the list of runs has it."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from cli.brief import RUN_ID
from cli.errors import USAGE, CliError
from cli.messages import list_all

if TYPE_CHECKING:
    from cli.client import Client

_PART = re.compile(r"run_([0-9a-f]{1,31})")
# So many of the newest runs are looked through.
MOST_RUNS = 5000


def find_run(client: "Client", text: str) -> str:
    """The run's whole id, of which `text` may be the beginning. Raises CliError where several begin so."""
    if not _PART.fullmatch(text):
        return text
    runs = list_all(client.orchestrator.ListRuns, pb.ListRunsRequest(), "runs")
    return whole_id(text, (run.id for run in islice(runs, MOST_RUNS)))


def whole_id(text: str, ids: Iterable[str]) -> str:
    """The one of `ids` that begins as `text` does; `text` itself where none does. Raises CliError where several do."""
    part = _PART.fullmatch(text)
    matches = ((id_, RUN_ID.fullmatch(id_)) for id_ in ids)
    found = [id_ for id_, whole in matches if part and whole and whole["number"].startswith(part[1])]
    if len(found) > 1:
        raise CliError(f"{text} is the beginning of several ids: {', '.join(found[:5])}; write more of it", USAGE)
    return found[0] if found else text
