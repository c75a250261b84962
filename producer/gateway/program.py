"""Start the gateway's process: settings, log, application, server; and say why where it cannot start."""

import ssl
from collections.abc import Mapping

from ...broker_config import settings
from ...broker_config.errors import RedisRefused, RedisUnreachable, SettingsInvalid
from ...broker_config.functions.function_library import load_library
from ...broker_config.programs import program_log
from ...broker_config.redis.tls import TlsFilesUnusable, check_file, load_own_certificate
from ...broker_config.settings_table import GatewaySettings, Value
from ..api import Assistant
from .serving.freed_memory import share_memory
from .serving.server import GatewayServer
from .wiring import gateway_application

EXIT_USAGE = 2

_log = program_log.logger("gateway")


def run(overrides: Mapping[str, Value], *, config: str, debug: bool) -> int:
    """Serve until stopped; the requests under way have ended when this returns."""
    program_log.set_up(debug=debug)
    share_memory()
    try:
        loaded = settings.load(overrides, config=config)
        check_tls(loaded.settings.gateway)
        assistant = Assistant(settings=loaded.settings)
    except SettingsInvalid as exc:
        _log.error("%s", exc)
        return EXIT_USAGE
    with assistant:
        renew_library(assistant)
        try:
            application = gateway_application(assistant)
        except SettingsInvalid as exc:
            _log.error("%s", exc)
            return EXIT_USAGE
        try:
            server = GatewayServer(application, loaded.settings.gateway)
        except OSError as exc:
            application.close()
            _log.error("cannot listen on %s: %s", _place(loaded.settings.gateway), exc.strerror or exc)
            return EXIT_USAGE
        server.serve_until_stopped()
    return 0


def renew_library(assistant: Assistant) -> None:
    """Bring the functions in Redis to our release; without Redis, or the right, others do it later."""
    try:
        load_library(assistant.redis)
    except (RedisUnreachable, RedisRefused) as exc:
        _log.warning("could not load the function library: %s", exc)


def check_tls(gateway: GatewaySettings) -> None:
    """Refuse half of a certificate, or files that cannot be used, before a port is taken.

    Raises:
        SettingsInvalid: naming the setting.
    """
    if bool(gateway.tls_certificate) != bool(gateway.tls_key):
        raise SettingsInvalid("gateway.tls_certificate and gateway.tls_key go together; set both or neither")
    if gateway.tls_certificate:
        try:
            check_file("certificate", gateway.tls_certificate)
            check_file("key", gateway.tls_key)
            load_own_certificate(ssl.create_default_context(), gateway.tls_certificate, gateway.tls_key)
        except TlsFilesUnusable as exc:
            raise SettingsInvalid(f"gateway.tls_certificate, gateway.tls_key: {exc}") from exc


def _place(gateway: GatewaySettings) -> str:
    return gateway.unix_socket or f"{gateway.host}:{gateway.port}"
