"""What goes wrong with an upstream that speaks OpenAI's API, for all that ask one. Pure."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from services.runtime.errors import DomainError, InvalidArgument, Kind, Unavailable

LONGEST_WAIT = 3600.0


class UpstreamUnavailable(Unavailable):
    """The upstream cannot be reached, or says that it is in trouble."""

    reason = "UPSTREAM_UNAVAILABLE"


class UpstreamTimeout(Unavailable):
    """The upstream was silent for too long."""

    reason = "UPSTREAM_TIMEOUT"


class UpstreamBroken(Unavailable):
    """The upstream's answer broke off, or is none."""

    reason = "UPSTREAM_BROKEN"


class UpstreamBusy(DomainError):
    """The upstream limits its callers, of whom this is one."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "UPSTREAM_BUSY"


class UpstreamRefused(InvalidArgument):
    """The upstream finds the request wrong."""

    reason = "UPSTREAM_REFUSED"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number of them or from a date; None where there is neither."""
    given = headers.get("retry-after", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None
