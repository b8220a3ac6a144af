"""An OpenID Connect issuer: a small HTTP server with a key set, whose tokens are made here."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "headworks"
ALGORITHMS: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def new_key(algorithm: str) -> Any:
    """A private key for the algorithm."""
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()


class FakeIssuer:
    """Answers with its keys, with `garbage` where that is set, with 500 where it `fails`, never where it `hangs`."""

    def __init__(self, *algorithms: str) -> None:
        self.keys: dict[str, tuple[str, Any]] = {}
        self.url = ""
        self.asked: list[str] = []
        self.fails = self.hangs = False
        self.garbage: bytes | None = None
        self.name: str | None = None
        for algorithm in algorithms or ("ES256",):
            self.add(algorithm, algorithm)

    def add(self, kid: str, algorithm: str = "ES256") -> None:
        """A further key."""
        self.keys[kid] = algorithm, new_key(algorithm)

    def jwks(self) -> dict[str, Any]:
        """The public keys."""
        made: list[dict[str, Any]] = []
        for kid, (algorithm, key) in self.keys.items():
            entry = ALGORITHMS[algorithm].to_jwk(key.public_key(), as_dict=True)
            made.append({**entry, "kid": kid, "use": "sig", "alg": algorithm})
        return {"keys": made}

    def token(self, kid: str = "", /, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token; a claim of None is left out."""
        kid = kid or next(iter(self.keys))
        algorithm, key = self.keys[kid]
        now = int(time.time())
        fine = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "tenant": "acme", "iat": now, "exp": now + 60}
        claims = {name: value for name, value in (fine | changes).items() if value is not None}
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid} | (headers or {}))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeIssuer"]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ")[1].decode()
            self.asked.append(path)
            while self.hangs:
                await asyncio.sleep(0.01)
            body = self._body(path)
            status = b"500 No" if self.fails else b"200 OK"
            head = b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            writer.write(head + body)
            await writer.drain()
        finally:
            writer.close()

    def _body(self, path: str) -> bytes:
        if self.garbage is not None:
            return self.garbage
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": self.name or self.url, "jwks_uri": f"{self.url}/jwks"}).encode()
        return json.dumps(self.jwks()).encode()
