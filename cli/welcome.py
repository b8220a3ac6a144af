"""What is said when the mesh is ready: where it is, where the key is, what to try."""

import json
import shlex
from pathlib import Path

from cli.options import DATA_DEFAULT
from infra.local.state import MeshState

QUESTION = "What is Headworks?"
MESSAGES = [{"role": "user", "content": QUESTION}]


def welcome(key: Path, state: MeshState) -> list[str]:
    """The lines to print; `key` is the file of the development key."""
    seconds = f" in {state.seconds_to_ready:.1f} s" if state.seconds_to_ready else ""
    data = "" if key.parent == Path.cwd() / DATA_DEFAULT else f" --data {shlex.quote(str(key.parent))}"
    return [
        f"\nReady{seconds}. Ctrl-C stops it.",
        f"  edge             {state.edge}",
        *([f"  its CA           {state.ca}"] if state.ca else []),
        f"  development key  the one line of {key}",
        "\nGive it something to read:",
        f"  headworks ingest README.md docs{data}",
        "\nThen try:",
        f'  headworks ask "{QUESTION}"{data}',
        f"  {curl(key, state.edge, state.ca)}",
        f"  {python(key, state.edge, state.ca)}",
        "",
    ]


def curl(key: Path, edge: str, ca: str = "") -> str:
    """A chat completion with curl."""
    body = shlex.quote(json.dumps({"model": "rag", "messages": MESSAGES}))
    bearer = f'"Authorization: Bearer $(cat {shlex.quote(str(key))})"'
    trusting = f" --cacert {shlex.quote(ca)}" if ca else ""
    return f"curl -s{trusting} {edge}/v1/chat/completions -H {bearer} -H 'Content-Type: application/json' -d {body}"


def python(key: Path, edge: str, ca: str = "") -> str:
    """The same with the openai package."""
    code = (
        "from openai import OpenAI; "
        f"mesh = OpenAI(base_url={f'{edge}/v1'!r}, api_key=open({str(key)!r}).read().strip()); "
        f"print(mesh.chat.completions.create(model='rag', messages={MESSAGES!r}).choices[0].message.content)"
    )
    trusting = f"SSL_CERT_FILE={shlex.quote(ca)} " if ca else ""
    return trusting + (f"python -c {shlex.quote(code)}" if '"' in code else f'python -c "{code}"')
