"""Tokens for a server that wants OAuth: by client credentials, kept in this process while they are good."""

from mcp.client.auth import TokenStorage
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from gateway.mcp.model import OAuthClient


class _InMemory(TokenStorage):
    def __init__(self) -> None:
        self._tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """It is fixed."""


def provider(url: str, client: OAuthClient, secret: str) -> ClientCredentialsOAuthProvider:
    """What asks for tokens at the client's own issuer, and nowhere else that the server may lead to."""
    return ClientCredentialsOAuthProvider(
        url, _InMemory(), client.client_id, secret, scope=client.scope or None, issuer=client.issuer
    )
