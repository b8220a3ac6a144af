"""The gateway's exchange of refresh tokens, and the API key that it looks at, for orchestrators under test."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.faces.identity import IdentityServicer, OrchestratorOnly
from gateway.identity.authenticate import IssuedTokens
from gateway.identity.credentials import Credentials
from gateway.identity.keys import KeyRing
from gateway.identity.refresh_tokens import RefreshTokens
from services.orchestrator.adapters.identity_client import IdentityClient
from services.orchestrator.scopes import Identities
from services.runtime import sockets
from services.runtime.channels import open_channel
from services.runtime.identity import IDENTITY_KEY, REFRESH_KEY, Identity, TokenSigner, TokenVerifier
from services.runtime.interceptors.standard import Errors
from tests.fakes.identity import Keys
from tests.fakes.serving import app_of, serving


class KeysFile:
    """The operator's API keys: one of the tenant acme's."""

    whose = Identity("acme", "acme-key", frozenset({"*"}), key="k1")

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self.restore()

    def restore(self) -> None:
        entry = {"id": self.whose.key, "prefix": "hw_aaaaaaaa", "sha256": hashlib.sha256(b"hw_aaaaaaaa").hexdigest()}
        self._write([entry | {"tenant": self.whose.tenant, "subject": self.whose.subject, "scopes": ["*"]}])

    def revoke(self) -> None:
        self._write([])

    def _write(self, keys: list[dict[str, object]]) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"keys": keys}))
        new.replace(self.path)


@dataclass
class FakeGateway:
    """As much of a gateway as renews identities, with the code of the real one: at a private socket, and at a port."""

    tokens: IssuedTokens
    file: KeysFile
    socket: Path
    address: str

    @property
    def target(self) -> str:
        return sockets.target(self.socket)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call that starts a run carries."""
        whose = self.file.whose
        return (
            (IDENTITY_KEY, self.tokens.identity_token(whose)),
            (REFRESH_KEY, self.tokens.refresh_token(whose)),
        )


@asynccontextmanager
async def renewing(keys: Keys, folder: Path, lifetime: float) -> AsyncIterator[FakeGateway]:
    """Renew identities, with tokens that are good for `lifetime` seconds."""
    file = KeysFile(folder)
    signer = TokenSigner(keys.private_pem, lifetime)
    tokens = IssuedTokens(signer, RefreshTokens(keys.private_pem, 600), Credentials(KeyRing(file.path)))
    app = app_of(IdentityServicer(tokens), layers=[Errors(), OrchestratorOnly(mutual_tls=False)])
    with TemporaryDirectory() as short:  # a socket's path holds a hundred characters
        socket = Path(short) / "identity.sock"
        async with serving(replace(app, sockets=[socket])) as address:
            yield FakeGateway(tokens, file, socket, address)


@asynccontextmanager
async def identities(verifier: TokenVerifier, target: str, patience: float = 5) -> AsyncIterator[Identities]:
    """What an orchestrator renews the identities of its runs by, at this gateway."""
    async with open_channel(target) as channel:
        yield Identities(IdentityClient(channel, verifier, 2), patience)
