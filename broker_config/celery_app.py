"""The one place that sets Celery's options, each with its reason."""

from typing import Any

from celery import Celery

from .redis_url import RedisAddress, format_url, parse_url

#: Seconds a BRPOP of an idle agent waits: one command in so long; a message wakes it at once.
POLLING_INTERVAL_SECONDS = 15
#: Above the polling interval, so that a healthy idle connection is not taken for a dead one.
_SOCKET_TIMEOUT_SECONDS = 20


def broker_url(address: RedisAddress) -> str:
    """The address in kombu's own notation."""
    if address.kind == "sentinel":
        at = f"{address.user}:{address.password}@" if address.password else ""
        return ";".join(f"sentinel://{at}{host}:{port}/{address.db}" for host, port in address.hosts)
    if address.kind == "unix":
        at = f"{address.user}:{address.password}@" if address.password else ""
        return f"redis+socket://{at}{address.path}?virtual_host={address.db}"
    plain = format_url(address)
    return plain.partition("?")[0]


def transport_options(address: RedisAddress) -> dict[str, Any]:
    """Options of kombu's Redis transport."""
    options: dict[str, Any] = {
        # The ledger is the truth and the message a hint: without kombu's unacked sets, their visibility timeout
        # (which re-runs long scripts) and their window for losing a message go, and two of five round trips.
        "ack_emulation": False,
        "polling_interval": POLLING_INTERVAL_SECONDS,
        # One list per queue instead of four.
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


def create_app(redis_url: str, *, name: str = "cloud_assistant") -> Celery:
    """Make the Celery app of a process; nothing is connected yet."""
    address = parse_url(redis_url)
    options = transport_options(address)
    app = Celery(name, broker=broker_url(address), set_as_current=False)
    app.conf.update(
        # No pickle in either direction, whatever arrives.
        accept_content=["json"],
        task_serializer="json",
        # Results live in the ledger.
        task_ignore_result=True,
        result_backend=None,
        broker_transport_options=options,
        # Redis may be away for days; the default gives up after 100 tries.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=5,
        # Stop messages have a lane of their own; the stock mailbox would let anybody who can publish stop agents.
        worker_enable_remote_control=False,
        worker_prefetch_multiplier=1,
        task_acks_late=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # A row for each queue in a table of bindings would be left behind for ever.
        task_create_missing_queues=True,
        enable_utc=True,
        timezone="UTC",
    )
    if address.tls:
        import ssl  # lazy: only with rediss://

        app.conf.broker_use_ssl = {
            "ssl_cert_reqs": ssl.CERT_REQUIRED if address.verify else ssl.CERT_NONE,
            "ssl_check_hostname": address.verify,
            "ssl_ca_certs": address.ca or None,
            "ssl_certfile": address.cert or None,
            "ssl_keyfile": address.key or None,
        }
        if address.kind == "sentinel":
            # The sentinels themselves are asked over TLS as well.
            told = options.setdefault("sentinel_kwargs", {})
            told.update(app.conf.broker_use_ssl, ssl=True)
    return app
