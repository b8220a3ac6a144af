"""Python code in the sandbox."""

from collections.abc import Mapping
from typing import Any

from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.builtin.schemas import obj, text
from services.orchestrator.tools.sandbox.runner import Sandbox, SandboxLimits, SandboxOutcome, SandboxRefused, Stop

MAX_CODE = 100_000
SIGXCPU = -24


class Python:
    """Runs code and gives what it printed. Each call is a fresh process that knows nothing of the ones before."""

    idempotent = True

    def __init__(self, sandbox: Sandbox, limits: SandboxLimits) -> None:
        self._sandbox = sandbox
        self.places = sandbox.places
        self._limits = limits
        self.declaration = Declaration(
            "python",
            "Runs Python code and gives what it prints, and the value of its last expression. The standard library is "
            "there, other packages are not; no network; files in the current folder only, which is gone afterwards. "
            f"Limits: {limits.seconds:g} seconds, {limits.memory_mib} MiB of memory. Nothing is kept between calls.",
            obj({"code": text("The code.", MAX_CODE)}, "code"),
        )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        try:
            outcome = await self._sandbox.run(arguments["code"], self._limits)
        except SandboxRefused as error:
            raise ToolFailed(f"no code can be run here: {error}", reason=Reason.UNAVAILABLE) from error
        return _result(outcome, self._limits)


def _result(outcome: SandboxOutcome, limits: SandboxLimits) -> str:
    """What was printed. Raises ToolFailed, with it, where the code failed."""
    if outcome.stopped_for is None and outcome.status == 0:
        return outcome.output or "(the code printed nothing)"
    reason = Reason.TIMEOUT if outcome.stopped_for is Stop.TIME or outcome.status == SIGXCPU else Reason.FAILED
    raise ToolFailed("\n".join(part for part in (_why(outcome, limits), outcome.output) if part), reason=reason)


def _why(outcome: SandboxOutcome, limits: SandboxLimits) -> str:
    match outcome.stopped_for:
        case Stop.TIME:
            return f"the code was stopped after {limits.seconds:g} seconds; it had printed:"
        case Stop.OUTPUT:
            return f"the code was stopped: it printed more than {limits.output} bytes; the first of them:"
        case Stop.SCRATCH:
            return f"the code was stopped: its files passed {limits.scratch_mib} MiB; it had printed:"
    if outcome.status == SIGXCPU:
        return f"the code was stopped after {limits.seconds:g} seconds of CPU time; it had printed:"
    if outcome.status < 0:
        return f"the code was ended by signal {-outcome.status}; it had printed:"
    return f"the code ended with status {outcome.status}; it had printed:"
