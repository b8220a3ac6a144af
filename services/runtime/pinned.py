"""GETs at an address that was looked up and checked before: a name cannot lead elsewhere between the two."""

from collections.abc import Mapping

import httpx


def pinned(
    client: httpx.Client | httpx.AsyncClient, url: httpx.URL, address: str, headers: Mapping[str, str]
) -> httpx.Request:
    """A GET of the URL that asks its host, by name and with its certificate, at this address alone. The answer is not
    to be compressed: what is read is what was counted."""
    return client.build_request(
        "GET",
        url.copy_with(host=address),
        headers={"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity", **headers},
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
    )
