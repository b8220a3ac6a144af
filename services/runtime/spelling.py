"""Names of settings that nothing reads: which they are, and what was probably meant.

A process knows the settings that it reads itself. A variable of another service is that service's to judge.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

VARIABLES = "HEADWORKS_"
SERVICES = ("gateway", "orchestrator", "retrieval", "control", "llm", "models")
# What the command reads, beside the services' settings.
COMMANDS = ("HEADWORKS_CONFIG", "HEADWORKS_DATA", "HEADWORKS_EDGE", "HEADWORKS_KEY", "HEADWORKS_CA")
ALIKE = 0.6

# What Kubernetes tells each container of the Services of its namespace, headworks-gateway for instance.
KUBERNETES = re.compile(r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$")

Fields = Mapping[str, Iterable[str]]
"""The names of settings, lower-case, by service."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one; empty where none is."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, ALIKE)), "")


def meant(name: str, known: Iterable[str]) -> str:
    """The nearest name as the end of a sentence; empty where there is none."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def unknown_tables(tables: Iterable[str], known: Iterable[str]) -> list[str]:
    """What is wrong with tables of a configuration file that are no service's."""
    known = sorted({*SERVICES, *known})
    there = f": there are {', '.join(known)}"
    return [
        f"the table [{table}] is no service's{meant(table, known) or there}" for table in tables if table not in known
    ]


def unknown_keys(service: str, table: Iterable[str], fields: Iterable[str]) -> list[str]:
    """What is wrong with keys of a service's table that are no settings of it."""
    fields = list(fields)
    return [f"[{service}] has no setting {key!r}{meant(key, fields)}" for key in table if key not in fields]


def unknown_variables(environ: Iterable[str], fields: Fields) -> list[str]:
    """What is wrong with variables that begin as settings do, and are none; in any case of letters, as settings are."""
    known = {f"{VARIABLES}{service}_{field}".upper() for service, own in fields.items() for field in own}
    return [
        f"{name} is no setting, and has no effect{_meant_variable(upper, fields)}"
        for name in sorted(environ)
        if (upper := name.upper()).startswith(VARIABLES)
        and upper not in known
        and upper not in COMMANDS
        and not KUBERNETES.search(upper)
        and not _is_of_another(upper, fields)
    ]


def _meant_variable(variable: str, fields: Fields) -> str:
    """What is common to all names says nothing of which was meant."""
    for service, own in fields.items():
        start = f"{VARIABLES}{service.upper()}_"
        if variable.startswith(start):
            field = nearest(variable.removeprefix(start).lower(), own)
            return f"; did you mean {start}{field.upper()}?" if field else ""
    ends = [name.removeprefix(VARIABLES) for name in COMMANDS]
    ends += [f"{service}_{field}".upper() for service, own in fields.items() for field in own]
    end = nearest(variable.removeprefix(VARIABLES), ends)
    return f"; did you mean {VARIABLES}{end}?" if end else ""


def _is_of_another(variable: str, fields: Fields) -> bool:
    others = (service for service in SERVICES if service not in fields)
    return any(variable.startswith(f"{VARIABLES}{service.upper()}_") for service in others)
