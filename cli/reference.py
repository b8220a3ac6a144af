"""The reference of all settings, as Markdown: docs/configuration.md is made from it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.registry import Setting

HEAD = """# Configuration

Every setting of every service. A setting is taken from its environment variable, else from the TOML file that
`HEADWORKS_CONFIG` (or `headworks up --config`) names, where each service has a table with the lower-case names, else
from what `headworks up` sets for a local mesh (addresses, keys, folders below the data directory), else it has its
default. `headworks config` prints the effective values, each with its source.

```toml
[gateway]
log_level = "debug"

[control]
max_body_bytes = 8388608
```

This page is made by `headworks config --markdown`.
"""


def reference(services: Iterable[tuple[str, Sequence["Setting"]]]) -> str:
    """The page: a table for each service."""
    return HEAD + "".join(_table(service, settings) for service, settings in services)


def _table(service: str, settings: Sequence["Setting"]) -> str:
    lines = [
        f"\n## {service}\n",
        "| Environment variable | In the file | Default | Meaning |",
        "| --- | --- | --- | --- |",
    ]
    for one in settings:
        default = f"`{_cell(one.default)}`" if one.default else "—"
        lines.append(f"| `{one.variable}` | `{one.name}` | {default} | {_cell(one.description)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
