"""The certificates of a local mesh: where they are, and that they are good before anything starts."""

from pathlib import Path

from infra.certificates import EDGE, OPERATOR, Folder, MissingCertificates, ensure
from infra.certificates.shown import SUFFIX
from infra.envoy import write_secrets
from infra.local.layout import Layout
from infra.local.options import BadOptions, Options
from services.runtime.tls import BadCertificates, TlsFiles


def check(options: Options, layout: Layout) -> None:
    """Make or renew the mesh's own certificates; check those that the user gives. Raises BadOptions, OSError."""
    if options.tls is None:
        return
    folder = Folder(options.tls)
    if folder.root == layout.tls:
        ensure(folder)
    try:
        folder.check()
    except (MissingCertificates, BadCertificates) as error:
        raise BadOptions(str(error)) from error


def files(options: Options, name: str) -> TlsFiles | None:
    """The files of a service; None where the mesh speaks without TLS."""
    return Folder(options.tls).files(name) if options.tls else None


def certificates(options: Options) -> dict[str, Path]:
    """All of the mesh's, by name: the authority's, the edge's, each service's."""
    if options.tls is None:
        return {}
    return {path.name.removesuffix(SUFFIX): path for path in sorted(options.tls.glob(f"*{SUFFIX}"))}


def supervisor_files(options: Options) -> TlsFiles | None:
    return files(options, OPERATOR)


def ca(options: Options) -> Path | None:
    """What signed the edge's certificate."""
    return Folder(options.tls).ca if options.tls else None


def secrets(options: Options, layout: Layout) -> Path | None:
    """Envoy's folder of SDS files, written anew; None where the mesh speaks without TLS."""
    if options.tls is None:
        return None
    folder = Folder(options.tls)
    edge = (folder.certificate(EDGE), folder.private_key(EDGE))
    return write_secrets(layout.secrets, edge, folder.files("envoy"))


def settings(options: Options, layout: Layout, service: str) -> dict[str, str]:
    """The settings of a Python service about TLS."""
    own = files(options, service)
    if own is None:
        return {}
    paths = {"TLS_CERTIFICATE": own.certificate, "TLS_PRIVATE_KEY": own.private_key, "TLS_CA": own.ca}
    if service == "control":
        paths["EDGE_SECRETS"] = layout.secrets
    return {name: str(path) for name, path in paths.items()}
