"""Certificates for tests: made here, asked for at a port."""

import ssl
from pathlib import Path

from infra.certificates import Folder, ensure


def certificates(root: Path) -> Folder:
    """A whole mesh's, freshly made."""
    folder = Folder(root)
    ensure(folder)
    return folder


def shown_at(port: int) -> str:
    """The certificate in PEM that a server at the port shows; it may want to see one before it does more."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
