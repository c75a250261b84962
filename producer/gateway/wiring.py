"""Put a gateway together from settings: actions on Redis, access keys, nonces, health, metrics."""

import logging

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.errors import RedisRefused, RedisUnreachable
from ...broker_config.redis.client import Redis
from ...broker_config.redis.remedies import with_remedy
from ...broker_config.security.master_key import find_master_keys, master_key_path
from ...broker_config.settings_table import Settings
from ..api import Assistant
from ..file_store.catalogue import Catalogue
from ..file_store.content_store import ContentStore
from ..metrics import Metrics
from ..security.access_keys import AccessKeys
from ..security.caller import AccessKey
from .access.authorization import RoleAuthorization
from .access.refusal_audit import RefusalAudit
from .access.used_nonces import UsedNonces
from .actions.table import action_registry
from .app import AppLimits, Dependencies, GatewayApplication
from .downloads.file_serving import FileServing
from .joining import registration_page
from .joining.install_pages import InstallPages
from .joining.registration_page import RegistrationPage
from .serving.client_address import ClientAddresses
from .serving.crowd import Crowd

logger = logging.getLogger(__name__)

#: Redis must answer a probe within this time.
_HEALTH_SECONDS = 2.0


class KnownKeys:
    """The access keys of the installation, and the one that the gateway's own settings may hold.

    The master key that unseals them may come to this machine after the gateway has started.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._redis = redis
        self._stored: AccessKeys | None = None
        gateway = settings.gateway
        self._key = AccessKey(gateway.access_key_id, gateway.access_key_secret, active=True, principal="configuration")

    def find(self, access_key_id: str) -> AccessKey | None:
        """Find a key by its id; without a master key here, only the one of the settings is known."""
        if self._key.secret and access_key_id == self._key.access_key_id:
            return self._key
        if self._stored is None:
            master = find_master_keys(self._settings)
            if master is None:
                logger.warning(
                    "no access key can be read: the master key is not in %s", master_key_path(self._settings)
                )
                return None
            self._stored = AccessKeys(self._redis, master)
        return self._stored.find(access_key_id)


def gateway_application(assistant: Assistant) -> GatewayApplication:
    """Make the application that serves one control side."""
    settings = assistant.settings
    metrics = Metrics(assistant.redis)
    client_addresses = ClientAddresses(settings.gateway.trusted_proxies)
    crowd = Crowd()
    metrics.registry.register(crowd)
    refusals = RefusalAudit(assistant.auditing, now_ms)
    dependencies = Dependencies(
        actions=action_registry(assistant),
        access_keys=KnownKeys(settings, assistant.redis),
        nonces=UsedNonces(assistant.redis),
        authorization=RoleAuthorization(),
        refusals=refusals,
        now_ms=now_ms,
        is_healthy=lambda: is_healthy(assistant),
        metrics=metrics.rendered,
        files=FileServing(ContentStore.of(settings), Catalogue(assistant.redis), client_addresses),
        routes={
            registration_page.PATH: RegistrationPage(assistant, refusals).route(),
            **InstallPages(settings).routes(),
        },
        client_addresses=client_addresses,
        crowd=crowd,
    )
    return GatewayApplication(dependencies, AppLimits.of(settings.gateway))


def is_healthy(assistant: Assistant) -> bool:
    """Tell whether Redis answers and takes what is written: each request of the API leaves its nonce there."""
    try:
        # Nothing comes of it, but Redis refuses it like any other write: for want of memory, or on a replica.
        assistant.redis.call("SET", keys.NEVER_THERE, b"", "XX", timeout_seconds=_HEALTH_SECONDS)
    except (RedisUnreachable, RedisRefused) as exc:
        logger.warning("gateway is not healthy: %s", with_remedy(exc))
        return False
    return True
