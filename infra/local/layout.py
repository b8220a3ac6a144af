"""Where things are in a data directory, and its files that are their owner's alone."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

PRIVATE = 0o700
PLACE_DIGITS = 16
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one mesh's data directory. Its sockets are in `run` where the directory cannot hold them."""

    root: Path
    run: Path | None = None

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def state(self) -> Path:
        return self.root / "mesh.json"

    @property
    def dev_key(self) -> Path:
        return self.root / "dev.key"

    @property
    def api_keys(self) -> Path:
        return self.root / "keys.json"

    @property
    def identity_private_key(self) -> Path:
        return self.root / "identity" / "private.pem"

    @property
    def identity_public_key(self) -> Path:
        return self.root / "identity" / "public.pem"

    @property
    def edge_token(self) -> Path:
        """By which gateways know what comes from Envoy."""
        return self.root / "identity" / "edge.token"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def targets(self) -> Path:
        """What Prometheus reads to find the processes."""
        return self.root / "prometheus" / "targets.json"

    @property
    def xds(self) -> Path:
        return self.root / "xds"

    @property
    def sockets(self) -> Path:
        """The Unix sockets of what only this mesh may call: control, Triton, gateways' HTTP, Envoy's admin interface,
        and without TLS where gateways renew identities."""
        return self.run or self.root / "run"

    @property
    def control_socket(self) -> Path:
        return self.sockets / "control.sock"

    def http_socket(self, gateway: str) -> Path:
        """Where a replica of the gateway serves HTTP."""
        return self.sockets / f"{gateway}.sock"

    @property
    def admin_socket(self) -> Path:
        return self.sockets / "envoy.sock"

    def identity_socket(self, gateway: int) -> Path:
        """Where the gateway of this number renews the identities of runs, in a mesh without TLS."""
        return self.sockets / f"identity-{gateway}.sock"

    @property
    def secrets(self) -> Path:
        """Envoy's SDS files."""
        return self.xds / "secrets"

    @property
    def tls(self) -> Path:
        """The mesh's own certificates, where it has any."""
        return self.root / "tls"

    def of(self, service: str) -> Path:
        """The folder that a service keeps its own data in."""
        return self.root / service

    def log(self, name: str) -> Path:
        """The log of the process of that name."""
        return self.logs / f"{name}.log"

    def place(self) -> str:
        """A name that no other directory has, nor a copy of this one, on this machine or another: that of the file of
        its lock since the machine was started."""
        try:
            file = self.lock.stat()
        except FileNotFoundError:
            return ""  # no mesh has run here
        host = os.uname().nodename, BOOT_ID.read_text("ascii") if BOOT_ID.exists() else ""
        own = (*host, file.st_dev, file.st_ino, file.st_ctime_ns)
        return hashlib.sha256(repr(own).encode()).hexdigest()[:PLACE_DIGITS]

    def make(self) -> None:
        """Make the directory and its folders, readable by their owner alone."""
        own = (self.root, self.identity_private_key.parent, self.logs, self.xds, self.targets.parent, self.sockets)
        for folder in own:
            folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        self.root.chmod(PRIVATE)

    def foreign(self) -> Path | None:
        """Something in the directory, or itself, that belongs to another user, who can put other things in its place;
        None where there is nothing."""
        there = (self.root, *self.root.iterdir(), *self.logs.iterdir())
        return next((path for path in there if path.lstat().st_uid != os.geteuid()), None)


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file of mode 600, never seen half written."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)
