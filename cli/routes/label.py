"""`headworks routes label`: asks two targets the same questions, and scores what they answer."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.brief import counted
from cli.edge import Edge, find_edge
from cli.errors import FAILURE, USAGE, CliError, interrupted
from cli.files import append, read_text
from cli.options import MeshOptions, on_mesh
from cli.output import print_done, warn

if TYPE_CHECKING:
    import httpx

SCORERS = ("exact", "contains", "number", "f1")
ATTEMPTS, PAUSE, LONGEST_PAUSE = 5, 0.5, 10.0
AGAIN = (429, 502, 503, 504)
SHOWN = 5
NANOS, MILLION = 1e9, 1e6


@dataclass(frozen=True, slots=True)
class Task:
    """A question, what a right answer says, and how the two are compared."""

    question: str
    reference: str
    scorer: str


class NoAnswer(Exception):
    """A target has not answered; the message says why."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--small", required=True, help="The cheaper target, as the catalogue names it.")
@click.option("--large", required=True, help="The better target.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The scores, a line each.")
@click.option(
    "--scorer", type=click.Choice(SCORERS), default="contains", show_default=True, help="Where a line has none."
)
@click.option("--system", default="", help="Instructions that both targets get.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="Of an answer, at most.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Questions at once.")
@on_mesh(120)
def label(
    file: Path, small: str, large: str, out: Path, scorer: str, system: str, max_tokens: int, concurrency: int,
    on: MeshOptions,
) -> int:  # fmt: skip
    """Ask both targets the questions in FILE, score the answers, and write what `headworks routes train` learns from.

    A line of FILE is {"question": …, "reference": …}, and "scorer" where it is another than --scorer: `exact` wants the
    reference's words and no others, `contains` wants them in one row, `number` compares the last numbers, `f1` counts
    the words that both have. The targets are asked by their own names, at temperature 0, past the cache; it costs what
    they cost. --timeout is for one answer.

    Questions that --out has already are not asked again: Ctrl-C leaves what is in, and the same command goes on.

    \b
    Example:
      headworks routes label questions.jsonl --small mini --large maxi --out scores.jsonl
    """
    if small == large:
        raise CliError("--small and --large name the same target", USAGE)
    tasks = _tasks(file, scorer)
    done = _done(out)
    left = [task for task in tasks if task.question not in done]
    targets = {name: _price(on, name) for name in (small, large)}
    run = Labelling(find_edge(on.data, on.edge, on.key), on.timeout, targets, out, system, max_tokens, on.as_json)
    try:
        asyncio.run(run.all(left, concurrency))
    except KeyboardInterrupt as stop:
        raise interrupted(stop, f"{run.written} scored; the same command goes on with the others") from None
    there = len(tasks) - len(left)
    print_done(
        on, f"{counted(run.written, 'question')} scored, {there} were there already, {len(run.failed)} failed: {out}",
        scored=run.written, already=there, failed=len(run.failed), averages=run.averages, out=str(out),
    )  # fmt: skip
    for problem in run.failed[:SHOWN]:
        warn(problem)
    return FAILURE if run.failed else 0


class Labelling:
    """Asks, scores and writes; each line is on the disk before the next question is begun. `targets`: the prices of
    each, of a million tokens read and written; `timeout`: seconds for one answer."""

    def __init__(
        self, edge: Edge, timeout: float, targets: Mapping[str, tuple[float, float]], out: Path, system: str = "",
        max_tokens: int = 512, quiet: bool = False,
    ) -> None:  # fmt: skip
        self._edge = edge
        self._timeout = timeout
        self._targets = targets
        self._out = out
        self._system = system
        self._max_tokens = max_tokens
        self._quiet = quiet
        self._sums = dict.fromkeys(targets, 0.0)
        self.written = 0
        self.failed: list[str] = []

    @property
    def averages(self) -> dict[str, float]:
        return {target: round(total / max(self.written, 1), 4) for target, total in self._sums.items()}

    async def all(self, tasks: Sequence[Task], concurrency: int) -> None:
        """Ask all, unless the first ones all fail: then nothing is well."""
        waiting = iter(tasks)
        async with self._client() as client, asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(self._some(client, waiting, len(tasks)))

    async def _some(self, client: "httpx.AsyncClient", waiting: Any, total: int) -> None:
        for task in waiting:
            if self.written == 0 and len(self.failed) >= SHOWN:
                return
            try:
                answers = [await self._answer(client, target, task.question) for target in self._targets]
            except NoAnswer as error:
                self.failed.append(str(error))
                continue
            self._write(task, answers)
            self._progress(total)

    async def _answer(self, client: "httpx.AsyncClient", target: str, question: str) -> tuple[str, Mapping[str, int]]:
        """What it says, and its usage. Raises NoAnswer."""
        import httpx

        system = [{"role": "system", "content": self._system}] if self._system else []
        body = {"model": target, "messages": [*system, {"role": "user", "content": question}],
                "max_tokens": self._max_tokens, "temperature": 0}  # fmt: skip
        pause, why = PAUSE, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            try:
                response = await client.post("/v1/chat/completions", json=body)
            except httpx.HTTPError as error:
                why = repr(error)
                continue
            if response.status_code == 200:
                whole = response.json()
                return whole["choices"][0]["message"].get("content") or "", whole.get("usage") or {}
            why = _message(response)
            if response.status_code not in AGAIN:
                break
        raise NoAnswer(f"{target} did not answer {question[:60]!r}: {why}")

    def _write(self, task: Task, answers: Sequence[tuple[str, Mapping[str, int]]]) -> None:
        from services.llm.difficulty.scoring import SCORERS as BY_NAME

        scores, costs, said = {}, {}, {}
        for target, (answer, usage) in zip(self._targets, answers, strict=True):
            scores[target] = round(BY_NAME[task.scorer](answer, task.reference), 4)
            said[target] = answer
            read, written = self._targets[target]
            costs[target] = (
                read * usage.get("prompt_tokens", 0) + written * usage.get("completion_tokens", 0)
            ) / MILLION  # fmt: skip
            self._sums[target] += scores[target]
        line: dict[str, Any] = {"question": task.question, "scores": scores}
        if all(costs.values()):
            line["cost"] = costs
        line |= {"answers": said, "reference": task.reference}
        append(self._out, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.written += 1

    def _progress(self, total: int) -> None:
        if not self._quiet and (self.written % 50 == 0 or self.written == total):
            averages = ", ".join(f"{target} {average:.3f}" for target, average in self.averages.items())
            click.echo(f"{self.written} of {total}: {averages}", err=True)

    def _client(self) -> "httpx.AsyncClient":
        import ssl

        import httpx

        from services.runtime import proxies

        edge = self._edge
        verify: Any = ssl.create_default_context(cafile=str(edge.ca)) if edge.ca else True
        headers = {"authorization": f"Bearer {edge.key}", "cache-control": "no-store"}
        return httpx.AsyncClient(
            base_url=edge.url, headers=headers, timeout=self._timeout, verify=verify,
            trust_env=not proxies.is_local(edge.target),
        )  # fmt: skip


def _message(response: "httpx.Response") -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"


def _price(on: MeshOptions, target: str) -> tuple[float, float]:
    """Of a million tokens, read and written. Raises CliError for a target that there is not."""
    from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

    with on.client() as client:
        models = {one.id: one for one in client.orchestrator.ListModels(pb.ListModelsRequest()).models}
    if target not in models:
        raise CliError(f"there is no model {target!r}; see `headworks models`")
    return models[target].input_price_nanos / NANOS, models[target].output_price_nanos / NANOS


def _tasks(file: Path, scorer: str) -> list[Task]:
    """Raises CliError."""
    tasks: dict[str, Task] = {}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise CliError(f"{where}: no JSON: {error}") from None
        if not isinstance(value, dict):
            raise CliError(f"{where}: no object with question and reference")
        for name in ("question", "reference"):
            if not isinstance(value.get(name), str) or not value[name].strip():
                raise CliError(f"{where}: {name}: a text is missing")
        how = value.get("scorer", scorer)
        if how not in SCORERS:
            raise CliError(f"{where}: scorer: {how!r} is none of {', '.join(SCORERS)}")
        tasks[value["question"]] = Task(value["question"], value["reference"], how)
    if not tasks:
        raise CliError(f"{file} has no line")
    return list(tasks.values())


def _done(out: Path) -> set[str]:
    """The questions that are scored already. Raises CliError for a file of something else."""
    if not out.exists():
        return set()
    try:
        return {json.loads(line)["question"] for line in read_text(out).splitlines() if line.strip()}
    except (ValueError, KeyError, TypeError):
        raise CliError(f"{out} has lines that are no scores: name another file with --out") from None
