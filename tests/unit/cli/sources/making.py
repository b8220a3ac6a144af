"""Archives and exports for tests."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from cli.documents.sources.source import SourceScan


def packed(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """A zip file of these entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def unpacked(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A folder of the same."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "workspace"
    place.mkdir()
    return place


def contents(scan: SourceScan) -> dict[str, str]:
    """The documents' texts by id."""
    found: dict[str, str] = {}
    for document in scan.documents:
        with document.open() as source:
            found[document.id] = source.read().decode()
    return found
