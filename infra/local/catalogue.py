"""The model catalogue of a mesh, checked before anything starts."""

from pathlib import Path

from infra.local.options import BadOptions, Options


def check(options: Options) -> None:
    """Raises BadOptions, by file, line and field, where the catalogue's file is wrong."""
    settings = (("llm", "models_file"), ("orchestrator", "catalogue_file"), ("gateway", "upstreams_file"))
    named = (options.given(service, name) for service, name in settings)
    files = [Path(name) for name in named if name]
    if not files:
        return
    # Here, for most meshes have none and need not wait for what reads it.
    from services.llm.catalogue.file import BadCatalogue, read

    try:
        for file in files:
            read(file)
    except BadCatalogue as error:
        raise BadOptions(str(error)) from error
