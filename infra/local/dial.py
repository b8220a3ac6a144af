"""How the supervisor calls the mesh's processes over gRPC: by Unix sockets, plainly, or by mutual TLS where the mesh
speaks that."""

import grpc

from services.runtime.proxies import NO_PROXY
from services.runtime.sockets import is_unix
from services.runtime.tls import Stamp, TlsFiles

OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.use_local_subchannel_pool", 1),
    NO_PROXY,
]
# An address says nothing of who is there: the certificate has to be for the service.
EXPECT = "grpc.ssl_target_name_override"
# Long enough for a handshake while everything starts at once.
TLS_CONNECT = ("grpc.min_reconnect_backoff_ms", 2_000)


class Dial:
    """Opens channels. `tls` is what the supervisor shows of itself."""

    def __init__(self, tls: TlsFiles | None = None) -> None:
        self._tls = tls

    def stamp(self) -> Stamp:
        """Differs once a channel opened now would show, or trust, other certificates than one before."""
        return self._tls.stamp() if self._tls else ()

    def channel(self, service: str, target: str) -> grpc.aio.Channel:
        """To the replica of a service at an address of this machine. Raises BadCertificates."""
        if self._tls is None or is_unix(target):
            return grpc.aio.insecure_channel(target, options=OPTIONS)
        options = [*OPTIONS, TLS_CONNECT, (EXPECT, service)]
        return grpc.aio.secure_channel(target, self._tls.client(), options=options)


PLAIN = Dial()
