"""A server on its way into the records: checked, and its secrets sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx2

from gateway.mcp.model import (
    CLIENT_SECRET,
    HEADER,
    LONGEST,
    McpServerSpec,
    OAuthClient,
    StoredServer,
    check_headers,
    check_name,
    check_seconds,
    check_tools,
    check_url,
    origin_of,
)
from gateway.mcp.sealing import SecretSeal
from gateway.mcp.servers import owner_of
from gateway.mcp.store import McpServerStore
from services.runtime.errors import InvalidArgument
from services.runtime.hosts import HostRule


@dataclass(frozen=True, slots=True)
class ServerDraft:
    """What a tenant says of a server; `seconds` is 0 and `tools` are empty where it says nothing. `keeps`: the secrets
    are those that it has."""

    url: str
    headers: Mapping[str, str]
    oauth: OAuthClient | None
    client_secret: str
    tools: Sequence[str]
    seconds: float
    keeps: bool = False


class ServerRegistration:
    """`hosts` are those that may be named."""

    def __init__(self, seal: SecretSeal, hosts: Sequence[HostRule]) -> None:
        self._seal = seal
        self._hosts = hosts

    async def put(self, store: McpServerStore, tenant: str, name: str, draft: ServerDraft) -> StoredServer:
        """Raises InvalidArgument, McpServerNotFound, TooManyMcpServers."""
        check_name(name)
        url = check_url(draft.url, self._hosts)
        if draft.oauth is not None:
            check_url(draft.oauth.issuer, self._hosts, "oauth.issuer")
            _check_client(draft.oauth)
        if draft.keeps:
            names, secrets = await self._kept(store, tenant, name, draft, url)
        else:
            headers = check_headers(draft.headers, draft.oauth)
            names, secrets = tuple(sorted(headers)), self._sealed(headers, draft, owner_of(tenant, name))
        spec = McpServerSpec(url, names, draft.oauth, check_tools(draft.tools), check_seconds(draft.seconds))
        return await store.put(tenant, name, spec, secrets)

    def _sealed(self, headers: Mapping[str, str], draft: ServerDraft, owner: str) -> str:
        secret = draft.client_secret
        if (draft.oauth is None) != (not secret) or len(secret) > LONGEST:
            raise InvalidArgument("oauth and client_secret go together", field="client_secret")
        secrets = {f"{HEADER}{name}": value for name, value in headers.items()}
        return self._seal.close(secrets | ({CLIENT_SECRET: secret} if secret else {}), owner)

    async def _kept(
        self, store: McpServerStore, tenant: str, name: str, draft: ServerDraft, url: str
    ) -> tuple[tuple[str, ...], str]:
        """The names of the headers, and the secrets, that the server has."""
        if draft.headers or draft.client_secret:
            raise InvalidArgument("keep_secrets goes without headers and client_secret", field="keep_secrets")
        before = await store.get(tenant, name)
        was, now = before.spec.oauth, draft.oauth
        same = (was and (was.issuer, was.client_id)) == (now and (now.issuer, now.client_id))
        if origin_of(httpx2.URL(url)) != before.spec.origin or not same:
            raise InvalidArgument(
                "the secrets were given for another host or OAuth client: give them anew", field="keep_secrets"
            )
        return before.spec.headers, before.secrets


def _check_client(oauth: OAuthClient) -> None:
    for field in ("client_id", "scope"):
        text = getattr(oauth, field)
        if len(text) > LONGEST or not text.isprintable() or (field == "client_id" and not text):
            raise InvalidArgument(f"oauth.{field} must be visible characters", field=f"oauth.{field}")
