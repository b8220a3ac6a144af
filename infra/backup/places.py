"""Where the data of a local mesh is, by its settings, and which of it others back up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from infra.backup.errors import BackupFailed
from infra.local.layout import Layout
from infra.local.mesh import local_settings
from infra.local.options import Options
from services.runtime.records.engine import parse
from services.runtime.settings import prefix

DATABASES: Mapping[str, str] = {"retrieval": "records.db", "orchestrator": "runs.db", "gateway": "records.db"}
"""The records' files in the data directory. Runs before the gateway's: what is recorded of a call there is the later
part. Retrieval's before its collections: a file that is ingested meanwhile is ingested again."""
STORE = "retrieval"


@dataclass(frozen=True, slots=True)
class Places:
    """`databases` are the SQLite files by service, `collections` the folder of the edge store; None where it is not
    used. `elsewhere` says what is kept on servers, each with who backs it up; `outside` which files of the data are not
    in the data directory, where a restoration puts them."""

    layout: Layout
    databases: Mapping[str, Path]
    collections: Path | None
    elsewhere: Sequence[str]
    outside: Sequence[str]

    def is_usual(self, service: str) -> bool:
        """Whether a service's records are in the data directory."""
        return self.databases[service].absolute() == self.layout.of(service) / DATABASES[service]

    def small_files(self) -> Iterator[tuple[Path, str]]:
        """Keys and certificates, each with its path in the data directory."""
        layout = self.layout
        own = [layout.dev_key, layout.api_keys, layout.identity_private_key, layout.identity_public_key]
        certificates = sorted(path for path in layout.tls.rglob("*") if path.is_file()) if layout.tls.is_dir() else []
        for path in (*own, *certificates):
            if path.is_file():
                yield path, path.relative_to(layout.root).as_posix()


def find_places(options: Options) -> Places:
    """Raises BackupFailed where there is no data."""
    layout = Layout(options.data)
    if not layout.dev_key.is_file():
        raise BackupFailed(f"there is no data of a mesh in {layout.root}: name its data directory with --data")
    databases: dict[str, Path] = {}
    elsewhere, outside = [], []
    for service, name in DATABASES.items():
        url = parse(_value(options, layout, service, "records_url"))
        if url.get_backend_name() != "sqlite":
            elsewhere.append(_in_postgres(f"the records of {service}", service, _shown(url)))
            continue
        databases[service] = Path(str(url.database))
        if databases[service].absolute() != layout.of(service) / name:
            outside.append(_moved(service, "records_url", databases[service]))
    store = options.given(STORE, "store") or "edge"
    folder = Path(_value(options, layout, STORE, "data_dir")) if store == "edge" else None
    if store == "pgvector":
        shown = _shown(parse(options.given(STORE, "pgvector_url") or _value(options, layout, STORE, "records_url")))
        if not any(f"'{shown}'" in each for each in elsewhere):  # one dump has all of a database
            elsewhere.append(_in_postgres("the collections", "collections", shown))
    elif folder is None:
        elsewhere.append(_on_qdrant(options.given(STORE, "qdrant_url") or "its server"))
    elif folder.absolute() != layout.of(STORE):
        outside.append(_moved(STORE, "data_dir", folder))
    return Places(layout, databases, folder, elsewhere, outside)


def _value(options: Options, layout: Layout, service: str, name: str) -> str:
    """As the user's settings have it, or else as `headworks up` sets it."""
    return options.given(service, name) or local_settings(options, layout, service)[name.upper()]


def _shown(url: URL) -> str:
    """As pg_dump takes it, without its password."""
    return url.render_as_string(hide_password=True).replace("+asyncpg", "")


def _in_postgres(what: str, name: str, url: str) -> str:
    return (
        f"{what} are in PostgreSQL: save them with `pg_dump --format=custom --file={name}.dump '{url}'`, and put them "
        "back with pg_restore into an empty database before the mesh starts"
    )


def _on_qdrant(url: str) -> str:
    return (
        f"the collections are on the Qdrant server {url}: save them as snapshots of its collections "
        "(POST /collections/NAME/snapshots), and restore those"
    )


def _moved(service: str, name: str, path: Path) -> str:
    return f"{prefix(service)}{name.upper()} names {path}"
