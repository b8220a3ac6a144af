"""A key pair for tests, and callers who present its tokens."""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.runtime.identity import IDENTITY_KEY, Identity, TokenSigner, TokenVerifier


@dataclass(frozen=True)
class Keys:
    """An Ed25519 pair, as PEM and at work."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def private_pem(self) -> bytes:
        pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.key.private_bytes(pem, pkcs8, plain)

    @property
    def public_pem(self) -> bytes:
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, info)

    @property
    def signer(self) -> TokenSigner:
        return TokenSigner(self.private_pem)

    @property
    def verifier(self) -> TokenVerifier:
        return TokenVerifier(self.public_pem)

    def metadata(
        self, tenant: str = "acme", subject: str = "", *scopes: str, groups: tuple[str, ...] = ()
    ) -> tuple[tuple[str, str], ...]:
        """What a call from the gateway carries."""
        identity = Identity(tenant, subject or f"{tenant}-key", frozenset(scopes), groups=groups)
        return ((IDENTITY_KEY, self.signer.token(identity)),)
