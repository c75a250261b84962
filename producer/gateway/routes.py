"""What the gateway serves beside the API: pages found by their path, for programs that sign nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from .serving.http_messages import HttpReply, HttpRequest


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


#: What answers each path.
Routes = dict[str, Route]
