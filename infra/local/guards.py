"""The file of guards: checked before anything starts."""

from pathlib import Path

from infra.local.options import BadOptions, Options
from services.runtime.file_faults import fault


def check_guards(options: Options) -> None:
    """Raises BadOptions, by file and field, where the file of guards is wrong."""
    file = options.given("gateway", "guards_file")
    if not file:
        return
    # Here, for most meshes have none and need not wait for what reads it.
    from gateway.guard.policy import read
    from services.runtime.errors import InvalidArgument

    try:
        read(Path(file))
    except InvalidArgument as error:
        raise BadOptions(error.message) from error
    except OSError as error:
        raise BadOptions(f"{file} cannot be read: {fault(error)}") from error
