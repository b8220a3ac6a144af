"""What a verb loads before it calls the mesh: whoever types it waits for that."""

import subprocess
import sys


def test_a_call_of_the_mesh_does_not_wait_for_what_makes_keys() -> None:
    code = "import sys, cli.client; print({'cryptography', 'jwt', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
