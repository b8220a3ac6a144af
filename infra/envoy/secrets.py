"""Envoy's certificates: SDS files that name PEM files, which Envoy watches and reads again when they are replaced."""

import json
from pathlib import Path
from typing import Any

from services.control.tls import CA, EDGE, MESH, URL, secret_file
from services.runtime.tls import TlsFiles

Data = dict[str, Any]


def write_secrets(folder: Path, edge: tuple[Path, Path], mesh: TlsFiles | None) -> Path:
    """Write the SDS files into `folder`. `edge` is the certificate and the key of the listener; `mesh` what Envoy calls
    control and the gateway with, where those ask for it. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {EDGE: _certificate(*edge)}
    if mesh:
        made[MESH] = _certificate(mesh.certificate, mesh.private_key)
        made[CA] = {"validation_context": {"trusted_ca": {"filename": str(mesh.ca)}}}
    for name, secret in made.items():
        body = {"resources": [{"@type": f"{URL}Secret", "name": name, **secret}]}
        path = secret_file(folder, name)
        new = path.with_name(f".{path.name}.new")
        new.write_text(json.dumps(body, indent=2) + "\n", "utf-8")
        new.replace(path)
    return folder


def _certificate(certificate: Path, private_key: Path) -> Data:
    pair = {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(private_key)}}
    return {"tls_certificate": pair}
