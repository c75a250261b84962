"""What the gateway serves beside the API: pages found by their path, for programs that sign nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .http_messages import HttpReply, HttpRequest


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """A complete request for a page, and the address it came from (``""`` over a Unix socket)."""

    request: HttpRequest
    client_address: str
    #: ``http`` or ``https``, as the request reached this program.
    scheme: str = "http"
    #: Whether a trusted proxy passed it on, so that its headers may be believed.
    through_proxy: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path. It may block, having a thread to itself; what it raises is taken for a mistake of ours."""

    methods: tuple[str, ...]
    answer: Callable[[RouteRequest], HttpReply]
    #: Largest body that is read; a larger one is refused.
    body_bytes: int = 0


class Routes:
    """Routes by path: an exact one first, else the longest that ends in ``/`` and begins the path."""

    def __init__(self, routes: Mapping[str, Route] | None = None) -> None:
        self._routes = dict(routes or {})

    def add(self, path: str, route: Route) -> None:
        """Serve a path; one that ends in ``/`` serves everything below it.

        Raises:
            ValueError: another route has this path.
        """
        if path in self._routes:
            raise ValueError(f"the path {path} is served twice; give each path one route")
        self._routes[path] = route

    def find(self, path: str) -> Route | None:
        """Find what answers a path."""
        found = self._routes.get(path)
        if found is not None:
            return found
        folders = [one for one in self._routes if one.endswith("/") and path.startswith(one)]
        return self._routes[max(folders, key=len)] if folders else None
