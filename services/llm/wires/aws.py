"""AWS's signatures (SigV4), by botocore, with the credentials that AWS's own tools would find: variables, a profile, a
web identity, the machine's role."""

import asyncio
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import get_session

from services.llm.wires.wire import Unsigned

FIND_SECONDS = 15.0
"""What it may take to find credentials, or to renew them: they may come from another server."""
HELP = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the process a role"


class AwsSigner:
    """Signs requests to a service in a region. Safe for concurrent use."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._credentials: Credentials | None = None
        self._finding = asyncio.Lock()

    async def signed(self, url: str, body: bytes) -> Mapping[str, str]:
        """The headers that a POST of JSON needs. Raises Unsigned."""
        request = AWSRequest("POST", url, {"content-type": "application/json"}, body)
        SigV4Auth(await self._usable(), self._service, self._region).add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    async def _usable(self) -> Any:
        """Credentials that are valid for some time. What asks other servers does so beside the event loop."""
        found = self._credentials
        if found is None or (isinstance(found, RefreshableCredentials) and found.refresh_needed()):
            async with self._finding:
                try:
                    async with asyncio.timeout(FIND_SECONDS):
                        return await asyncio.to_thread(self._find)
                except BotoCoreError as error:
                    raise Unsigned(f"AWS's credentials cannot be had ({error}): {HELP}") from error
                except TimeoutError as error:
                    raise Unsigned(f"AWS's credentials were not found within {FIND_SECONDS:g} s: {HELP}") from error
        return found.get_frozen_credentials()

    def _find(self) -> Any:
        if self._credentials is None:
            self._credentials = get_session().get_credentials()
        if self._credentials is None:
            raise Unsigned(f"there are no credentials of AWS: {HELP}")
        return self._credentials.get_frozen_credentials()
