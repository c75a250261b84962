"""Where a request came from, as far as it can be trusted."""

import ipaddress
from collections.abc import Sequence

from ....broker_config.errors import SettingsInvalid
from .http_messages import HttpRequest

#: In the setting: whoever reaches our Unix socket is a proxy.
UNIX = "unix"
#: Whoever has one address of IPv6 has a network of this size.
_IPV6_NETWORK_BITS = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ClientAddresses:
    """Tells clients' addresses, behind the proxies that the setting names."""

    def __init__(self, trusted_proxies: str = "") -> None:
        """Read ``gateway.trusted_proxies``.

        Raises:
            SettingsInvalid: a part of it is no address and no range.
        """
        parts = [part.strip() for part in trusted_proxies.split(",") if part.strip()]
        self._trusts_unix = UNIX in parts
        try:
            self._networks: list[Network] = [ipaddress.ip_network(part, strict=False) for part in parts if part != UNIX]
        except ValueError as exc:
            raise SettingsInvalid(f"gateway.trusted_proxies: {exc}; give addresses, ranges or `unix`") from exc

    def address_of(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """The client's address: the peer's, or what trusted proxies say; ``""`` when nobody can tell.

        Only the part of ``X-Forwarded-For`` that a trusted proxy wrote counts: it is read from its end, and the first
        address that is not a trusted proxy's is the client.
        """
        address = parsed(peer)
        if not self.is_proxy(peer):
            return "" if address is None else str(address)
        hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
        for hop in reversed(hops):
            address = parsed(hop)
            if address is None or not self._trusts(address):
                return "" if address is None else str(address)
        return "" if address is None else str(address)

    def is_proxy(self, peer: str) -> bool:
        """Tell whether what a peer says of its clients is believed."""
        address = parsed(peer)
        return self._trusts_unix if address is None else self._trusts(address)

    def of_request(self, client: Sequence[object] | None, request: HttpRequest) -> str:
        """The address of the client that sent a request; ``client`` is the peer as ASGI gives it."""
        forwarded_for = [value.decode("latin-1") for value in request.header_values(b"x-forwarded-for")]
        return self.address_of(str((client or ("",))[0]), forwarded_for)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def parsed(text: str) -> Address | None:
    """Read an address; one of IPv4 in IPv6 clothes is an IPv4 address."""
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def network_of(address: str) -> str:
    """Name those whose requests count together: one address of IPv4, a network of IPv6, or all who cannot be told."""
    if ":" not in address:
        return address or "unknown"
    return str(ipaddress.ip_network(f"{address}/{_IPV6_NETWORK_BITS}", strict=False))
