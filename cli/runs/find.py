"""A run by its id, or by the beginning of it, as the list of runs has it."""

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from cli.brief import RUN_ID
from cli.errors import USAGE, CliError
from cli.messages import list_all

if TYPE_CHECKING:
    from cli.client import Client

START = "run_"
# So many of the newest runs are looked through.
MOST_RUNS = 5000


def find_run(client: "Client", text: str) -> str:
    """The run's whole id, of which `text` may be the beginning. Raises CliError where several begin so."""
    if not text.startswith(START) or RUN_ID.fullmatch(text):
        return text
    runs = list_all(client.orchestrator.ListRuns, pb.ListRunsRequest(), "runs")
    return whole_id(text, (run.id for run in islice(runs, MOST_RUNS)))


def whole_id(text: str, ids: Iterable[str]) -> str:
    """The one of `ids` that begins as `text` does, be it with its replica or with its number as lists have it; `text`
    itself where none does, or where it is one. Raises CliError where several do."""
    found: list[str] = []
    for id_ in ids:
        if id_ == text:
            return text
        whole = RUN_ID.fullmatch(id_)
        if id_.startswith(text) or (whole and f"{START}{whole['number']}".startswith(text)):
            found.append(id_)
    if len(found) > 1:
        raise CliError(f"{text} is the beginning of several ids: {', '.join(found[:5])}; write more of it", USAGE)
    return found[0] if found else text
