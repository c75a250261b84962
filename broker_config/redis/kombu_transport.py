"""Our address in the words of kombu's own Redis transport, for the programs of the control side.

Flower listens through it to events, which are Redis' own publish and subscribe; beat names its broker and needs none.
Agents wait for their messages on a transport of their own, so that none of them imports redis-py.
"""

from typing import Any
from urllib.parse import quote

from .url import RedisAddress, format_url, login, place

#: Longer than any pause between two commands, so that a healthy idle connection is not taken for a dead one.
_SOCKET_TIMEOUT_SECONDS = 20


def broker_options(address: RedisAddress) -> dict[str, Any]:
    """Celery's settings for an address."""
    options = transport_options(address)
    told: dict[str, Any] = {"broker_url": broker_url(address), "broker_transport_options": options}
    if address.tls:
        told["broker_use_ssl"] = _tls(address)
        if address.kind == "sentinel":
            # The sentinels themselves are asked over TLS as well.
            options.setdefault("sentinel_kwargs", {}).update(told["broker_use_ssl"], ssl=True)
    return told


def broker_url(address: RedisAddress) -> str:
    """The address in kombu's own notation."""
    if address.kind == "sentinel":
        return ";".join(f"sentinel://{login(address)}{place(*one)}/{address.db}" for one in address.hosts)
    if address.kind == "unix":
        return f"redis+socket://{login(address)}{quote(address.path)}?virtual_host={address.db}"
    plain = format_url(address)
    return plain.partition("?")[0]


def transport_options(address: RedisAddress) -> dict[str, Any]:
    """Options of kombu's Redis transport."""
    options: dict[str, Any] = {
        # Nothing is taken from a queue here, so nothing is kept of what was taken and not yet acknowledged.
        "ack_emulation": False,
        # A queue is one list and not four.
        "priority_steps": [0],
        "socket_timeout": _SOCKET_TIMEOUT_SECONDS,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        # A peer that vanished without a FIN is noticed by a PING instead of never.
        "health_check_interval": 10,
    }
    if address.kind == "sentinel":
        options["master_name"] = address.master
        if address.sentinel_password:
            options["sentinel_kwargs"] = {
                "username": address.sentinel_user or None,
                "password": address.sentinel_password,
            }
    return options


def _tls(address: RedisAddress) -> dict[str, Any]:
    import ssl  # lazy: only with rediss://

    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED if address.verify else ssl.CERT_NONE,
        "ssl_check_hostname": address.verify,
        "ssl_ca_certs": address.ca or None,
        "ssl_certfile": address.cert or None,
        "ssl_keyfile": address.key or None,
    }
