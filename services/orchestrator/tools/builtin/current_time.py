"""The current time, in any zone."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.builtin.schemas import obj, text


class CurrentTime:
    """Tells the time. `now` gives it in the zone asked for."""

    idempotent = True
    declaration = Declaration(
        "current_time",
        "Tells the current date, time and weekday in a time zone.",
        obj({"zone": text("An IANA time zone, such as Europe/Paris; UTC if left out.", 64)}),
        json=True,
    )

    def __init__(self, now: Callable[[tzinfo], datetime] = datetime.now) -> None:
        self._now = now

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        zone = arguments.get("zone", "UTC")
        now = self._now(UTC if zone == "UTC" else _zone(zone)).replace(microsecond=0)
        told = {"time": now.isoformat(), "zone": zone, "weekday": f"{now:%A}", "unix": int(now.timestamp())}
        return orjson.dumps(told).decode()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:  # a bad path, a folder of zones, an unknown zone
        raise ToolFailed(
            f"there is no time zone {name!r}; IANA names are such as Asia/Tokyo", reason=Reason.INVALID_ARGUMENTS
        ) from error
