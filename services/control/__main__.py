"""python -m services.control: serve until stopped."""

from services.control.app import wire
from services.control.settings import ControlSettings
from services.runtime.server import run, serve


def main() -> None:
    settings = ControlSettings()
    run(settings, serve(settings, lambda: wire(settings)))


if __name__ == "__main__":
    main()
