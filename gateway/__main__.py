"""`python -m gateway`: serve until told to stop."""

from gateway.app import wire
from gateway.settings import GatewaySettings
from services.runtime.server import run, serve

if __name__ == "__main__":
    settings = GatewaySettings()
    run(settings, serve(settings, lambda: wire(settings)))
