"""Put a gateway together from settings: actions on Redis, access keys, nonces, health, metrics."""

import logging

from ...broker_config.clock import now_ms
from ...broker_config.errors import RedisRefused, RedisUnreachable
from ...broker_config.settings_table import GatewaySettings
from ..api import Assistant
from ..metrics import Metrics
from .access_keys import AccessKey
from .action_table import action_registry
from .app import AppLimits, Dependencies, GatewayApplication, create_app
from .used_nonces import UsedNonces

logger = logging.getLogger(__name__)

#: Redis must answer a probe within this time.
_HEALTH_SECONDS = 2.0


class ConfiguredKey:
    """The one access key that the gateway's own settings may hold."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._key = AccessKey(
            settings.access_key_id, settings.access_key_secret, active=True, principal="configuration"
        )

    def find(self, access_key_id: str) -> AccessKey | None:
        """Find the key, if it is this one and has a secret."""
        is_it = bool(self._key.secret) and access_key_id == self._key.access_key_id
        return self._key if is_it else None


class EveryAction:
    """The holder of a key may use every action."""

    def require(self, caller: AccessKey, action: str) -> None:
        """Permit it."""


def gateway_application(assistant: Assistant) -> GatewayApplication:
    """Make the application that serves one control side."""
    settings = assistant.settings
    metrics = Metrics(assistant.redis)
    dependencies = Dependencies(
        actions=action_registry(assistant),
        access_keys=ConfiguredKey(settings.gateway),
        nonces=UsedNonces(assistant.redis),
        authorization=EveryAction(),
        now_ms=now_ms,
        is_healthy=lambda: is_healthy(assistant),
        metrics=metrics.rendered,
    )
    return create_app(dependencies, AppLimits.of(settings.gateway))


def is_healthy(assistant: Assistant) -> bool:
    """Tell whether Redis answers and takes writes."""
    try:
        assistant.redis.call("PING", timeout_seconds=_HEALTH_SECONDS)
    except (RedisUnreachable, RedisRefused) as exc:
        logger.warning("gateway is not healthy: %s", exc)
        return False
    return True
