"""The topology on disk, so that control comes back after a crash with what it last served."""

import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from services.control.topology import SERVICES, Endpoint, Topology
from services.runtime.errors import InvalidArgument

log = logging.getLogger(__name__)


def load(path: Path | None) -> Topology:
    """The topology in `path`; the empty one where there is no such file or nothing usable in it (which is logged)."""
    if path is None or not path.exists():
        return Topology()
    try:
        return decode(path.read_text("utf-8"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, InvalidArgument) as error:
        log.warning("the state file is of no use; beginning empty", extra={"path": str(path), "error": str(error)})
        return Topology()


def save(path: Path | None, topology: Topology) -> None:
    """Replace the file in one step: a reader, or a crash, finds the old topology or the new one, never a part."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(encode(topology))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def encode(topology: Topology) -> str:
    services = {service: [asdict(one) for one in endpoints] for service, endpoints in topology.services.items()}
    return json.dumps({"version": topology.version, "services": services}, indent=1) + "\n"


def decode(text: str) -> Topology:
    """The topology in `text`; services no longer known are left out. An error of some kind where it is not one."""
    stored = json.loads(text)
    topology = Topology()
    for service in SERVICES & stored["services"].keys():
        replicas = stored["services"][service]
        endpoints = [Endpoint(**one) for one in replicas]
        topology = topology.with_endpoints(service, endpoints)
    return Topology(int(stored["version"]), topology.services)
