"""Where the mesh is: its data directory, its address, its key."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli.errors import USAGE, CliError
from cli.options import DATA_DEFAULT, ca_option
from infra.local.keys import BadKeyFile, read_dev_key
from infra.local.layout import Layout
from infra.local.state import MeshState, running
from services.runtime.file_faults import fault

DEFAULT_PORTS = {"http": 80, "https": 443, "": 80}


@dataclass(frozen=True, slots=True)
class Edge:
    """The way into a mesh. `ca` is the file of the CA to trust; None trusts those that the machine does."""

    url: str
    key: str
    ca: Path | None = None

    @property
    def target(self) -> str:
        """host:port, as gRPC wants it."""
        return urlsplit(self.url).netloc

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")


def find_data(data: Path | None, here: Path | None = None) -> Path:
    """`data`, or the nearest .headworks from `here` upwards; .headworks right here where there is none."""
    if data is not None:
        return data.absolute()
    here = (here or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / DATA_DEFAULT / "dev.key").is_file():
            return folder / DATA_DEFAULT
    return here / DATA_DEFAULT


def find_edge(data: Path | None, url: str | None, key: str | None) -> Edge:
    """The edge to call, from what the user gave and from the data directory. Raises CliError."""
    folder, ca = find_data(data), ca_option()
    if url is None:
        state = _running(folder)
        url, ca = state.edge, ca or (Path(state.ca) if state.ca else None)
    return Edge(normal_url(url), key or _dev_key(folder), ca)


def normal_url(url: str) -> str:
    """scheme://host:port of an edge given as a URL or as host:port. Raises CliError."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = None
        parts = parts._replace(netloc="")
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise CliError(f"--edge {url!r} is not an address: write http://HOST:PORT", USAGE)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or DEFAULT_PORTS[parts.scheme]}"


def _running(folder: Path) -> MeshState:
    state = running(Layout(folder))
    if state is None:
        raise CliError(
            f"no mesh is running on {folder}: start one with `headworks up`, or name one with --edge and --key"
        )
    if state.phase == "stopping":
        raise CliError(f"the mesh on {folder} is stopping: start it again with `headworks up`")
    return state


def _dev_key(folder: Path) -> str:
    try:
        return read_dev_key(Layout(folder).dev_key)
    except FileNotFoundError:
        raise CliError(f"there is no API key: give one with --key or HEADWORKS_KEY ({folder} has no dev.key)") from None
    except BadKeyFile as error:
        raise CliError(str(error)) from None
    except OSError as error:
        raise CliError(f"the development key in {folder} cannot be read: {fault(error)}") from None
