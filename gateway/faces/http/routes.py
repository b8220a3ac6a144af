"""Which handler a verb and a path lead to."""

import re
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from gateway.faces.http.errors import BadPath, MethodNotAllowed, NoSuchPath
from gateway.faces.http.message import Body, Request
from services.runtime.call import Call

Handler = Callable[[Any, Call], AsyncGenerator[Body, None]]


def as_it_is(request: Request) -> Any:
    """For handlers that take the request itself."""
    return request


@dataclass(frozen=True, slots=True)
class Route:
    """A verb at a path template such as /v1/models/{model}.

    `name` is the method's name in permissions, logs, metrics and the audit. `read` makes of a request what gate and
    handler get, or raises a DomainError. `uploads`: its body is for the handler to read as it comes.
    """

    verb: str
    template: str
    name: str
    handler: Handler
    read: Callable[[Request], Any] = as_it_is
    uploads: bool = False


def plain_route(verb: str, template: str, handler: Handler, uploads: bool = False) -> Route:
    """A route whose name is its verb and its template."""
    return Route(verb, template, f"{verb} {template}", handler, uploads=uploads)


class Routes:
    """Paths without variables are looked up, the others tried in turn."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for route in routes:
            if "{" in route.template:
                self._patterns.append((_pattern(route.template), route))
            else:
                self._fixed.setdefault(route.template, {})[route.verb] = route

    def find(self, verb: str, path: bytes) -> tuple[Route, dict[str, str]]:
        """The route, and the values of its variables. HEAD is served where GET is.

        Raises BadPath, NoSuchPath, MethodNotAllowed.
        """
        wanted = "GET" if verb == "HEAD" else verb
        fixed = self._fixed.get(_decoded(path))
        if fixed is not None:
            route = fixed.get(wanted)
            if route is None:
                raise _not_allowed(verb, fixed)
            return route, {}
        return self._match(verb, wanted, path.decode("ascii", "replace"))

    def _match(self, verb: str, wanted: str, path: str) -> tuple[Route, dict[str, str]]:
        matching = [(route, found) for pattern, route in self._patterns if (found := pattern.fullmatch(path))]
        if not matching:
            raise NoSuchPath
        for route, found in matching:
            if route.verb == wanted:
                return route, {name: _decoded(value.encode()) for name, value in found.groupdict().items()}
        raise _not_allowed(verb, (route.verb for route, _ in matching))


def _not_allowed(verb: str, there: Iterable[str]) -> MethodNotAllowed:
    verbs = set(there)
    return MethodNotAllowed(verb, verbs | {"HEAD"} if "GET" in verbs else verbs)


def _decoded(path: bytes) -> str:
    try:
        return (unquote_to_bytes(path) if b"%" in path else path).decode()
    except UnicodeDecodeError as error:
        raise BadPath from error


def _pattern(template: str) -> re.Pattern[str]:
    """A variable is one segment, or what of it stands before a custom verb such as ":bind"."""
    parts = re.split(r"\{(\w+)\}", template)
    parts[1::2] = [f"(?P<{name}>[^/]+)" for name in parts[1::2]]
    parts[::2] = map(re.escape, parts[::2])
    return re.compile("".join(parts))
