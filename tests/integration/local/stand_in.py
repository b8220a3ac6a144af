"""A stand-in for a process of the mesh: listens at a port, and does what its arguments say besides.

stand_in.py PORT [stubborn] [drains FILE] [grandchild FILE] [children] [crash] [refuse] [mute]
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    port, *wishes = sys.argv[1:]
    sys.stdout.write(f"stand-in {os.getpid()} on {port}\n")
    sys.stdout.flush()
    if "crash" in wishes:
        sys.stdout.write("cannot go on\n")
        sys.exit(3)
    if "refuse" in wishes:
        sys.stdout.write(json.dumps({"level": "error", "message": "cannot start: the disk is full"}) + "\n")
        sys.exit(1)
    if "mute" in wishes:
        time.sleep(600)
    if "stubborn" in wishes:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if "grandchild" in wishes:
        # In a session of its own: its parent's process group does not hold it.
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        Path(wishes[wishes.index("grandchild") + 1]).write_text(str(sleeper.pid))
    children = [
        subprocess.Popen(["sleep", "600"]) for _ in range(2 if "children" in wishes else 0)
    ]  # nobody reaps them
    assert all(child.returncode is None for child in children)
    with socket.create_server(("127.0.0.1", int(port))) as server:
        server.settimeout(0.1)
        if "drains" in wishes:
            signal.signal(signal.SIGTERM, lambda *_: drain(server, Path(wishes[wishes.index("drains") + 1])))
        while True:
            try:
                server.accept()[0].close()
            except TimeoutError:
                time.sleep(0)


def drain(server: socket.socket, told: Path) -> None:
    """Take nothing new, see to what there is, and say so in the end."""
    server.close()
    time.sleep(1.5)
    told.write_text("all was answered")
    sys.exit(0)


if __name__ == "__main__":
    main()
