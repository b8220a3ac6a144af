"""The model catalogue of a mesh, checked before anything starts."""

from pathlib import Path

from infra.local.options import BadOptions, Options


def check(options: Options) -> None:
    """Raises BadOptions, by file, line and field, where the catalogue's file is wrong."""
    file = options.given("orchestrator", "catalogue_file")
    if not file:
        return
    # Here, for most meshes have none and need not wait for what reads it.
    from services.orchestrator.generate.catalogue_file import BadCatalogue, read

    try:
        read(Path(file))
    except BadCatalogue as error:
        raise BadOptions(str(error)) from error
