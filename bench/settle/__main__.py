"""How many calls one gateway settles on PostgreSQL, and how many two do side by side."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal, Latencies, paired
from bench.kit.harness import OTHERS, Case, Figures, Side, alternate
from bench.kit.machine import Meter
from bench.kit.report import Report
from bench.load.worker import Worker
from bench.settle.settling import Settled, SettlingGateway
from tests.fixtures.processes import NotInstalled, Postgres

ONE, TWO = "one gateway", "two gateways"
RATE, P50, P99 = "settled/s", "p50 ms", "p99 ms"
GATEWAYS, DATABASE = "cores of the gateways", "cores of PostgreSQL"
GOAL = 1.7
CALLERS = (1, 4, 16)
SECONDS = 2
NOTES = (
    "Each call reserves of one budget that all gateways share, and settles with its row of usage, the sums of the day "
    "and its record of the audit, all committed. Callers are those of each gateway.",
    "A gateway has one transaction at a time, in which either it or PostgreSQL is at work: two gateways have twice as "
    "many only where the processors have room for both. The ratio is the median of the rounds' own.",
)
EXAMPLES = """\
  python -m bench.settle
  python -m bench.settle --callers 1 4 --rounds 15 --json settle.json"""


@dataclass
class Database:
    """The server's processes, those that have ended since counted too: one for each connection."""

    server: psutil.Process
    _known: dict[int, float] = field(default_factory=dict)

    def processor(self) -> float:
        """Seconds of one core that it has used."""
        for process in (self.server, *self.server.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            self._known[process.pid] = times.user + times.system
        return sum(self._known.values())


@dataclass(frozen=True)
class Settling:
    """So many gateways settle for `seconds`, each for as many callers."""

    gateways: Sequence[Worker[SettlingGateway]]
    callers: int
    seconds: float
    database: Database

    def __call__(self) -> Figures:
        meter, before = Meter(), self.database.processor()
        with ThreadPoolExecutor(len(self.gateways)) as pool:
            parts = list(pool.map(self._settle, self.gateways))
        database, gateways = self.database.processor() - before, sum(part.processor for part in parts)
        took = max(part.seconds for part in parts)
        latencies = Latencies.of([one for part in parts for one in part.latencies])
        return {
            RATE: sum(part.calls for part in parts) / took, P50: latencies.p50, P99: latencies.p99,
            GATEWAYS: gateways / took, DATABASE: database / took, OTHERS: meter.others(gateways + database),
        }  # fmt: skip

    def _settle(self, gateway: Worker[SettlingGateway]) -> Settled:
        return gateway.call(SettlingGateway.settle, self.callers, self.seconds)


def measure(options: argparse.Namespace, say: Say) -> Report:
    with ExitStack() as stack:
        try:
            server = Postgres(durable=True)
        except NotInstalled as error:
            raise BenchError(str(error)) from None
        stack.callback(server.remove)
        server.start()
        url, key = server.url(server.new_database()), Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        say("two gateways start on PostgreSQL, which writes to its disk")
        gateways = []
        for name in ("gateway-0", "gateway-1"):
            worker = Worker(partial(SettlingGateway, url, name, pem))
            stack.callback(worker.close)
            gateways.append(worker)
        database = Database(psutil.Process(server.pid))
        cases = [_case(callers, gateways, options.seconds, database) for callers in options.callers]
        for case in cases:
            for side in case.sides:
                side.run()
        results = alternate(cases, options.rounds, say)
        if not gateways[0].call(SettlingGateway.sound):
            raise BenchError("the audit does not stand its check")
    goals = [
        Goal(f"{TWO} ÷ {ONE}, {case}", paired(sides[TWO], sides[ONE], RATE), Bound.AT_LEAST, GOAL)
        for case, sides in results.items()
    ]
    return Report("Settling calls on PostgreSQL", cases, results, goals, options.rounds, notes=NOTES)


def _case(callers: int, gateways: Sequence[Worker[SettlingGateway]], seconds: float, database: Database) -> Case:
    sides = [Side(TWO, Settling(gateways, callers, seconds, database))]
    sides.append(Side(ONE, Settling(gateways[:1], callers, seconds, database), peer=True))
    return Case(f"{callers} caller{'s' if callers > 1 else ''} each", sides)


def _options() -> argparse.Namespace:
    made = parser("settle", __doc__ or "", EXAMPLES, rounds=9, xquad=False)
    made.add_argument(
        "--callers", type=positive, nargs="+", default=CALLERS, metavar="N", help="callers of each gateway (1 4 16)"
    )
    made.add_argument("--seconds", type=positive, default=SECONDS, metavar="N", help=f"length of a slice ({SECONDS})")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
