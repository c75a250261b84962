"""What the gateway must be given, kept in memory: keys, nonces and a clock that the test sets."""

from cloud_assistant.producer.gateway.api_errors import api_error
from cloud_assistant.producer.security.caller import AccessKey

KEYS = (
    AccessKey("testid", "testsecret", active=True, principal="tester"),
    AccessKey("disabled", "testsecret", active=False, principal="former"),
    AccessKey("reader", "testsecret", active=True, principal="reader"),
)


class KeysInMemory:
    """Find keys in a table."""

    def __init__(self, *keys: AccessKey) -> None:
        self._keys = {key.access_key_id: key for key in keys or KEYS}

    def find(self, access_key_id: str) -> AccessKey | None:
        """Find a key by its id."""
        return self._keys.get(access_key_id)


class NoncesInMemory:
    """Remember nonces in a set, and for how long each was to be remembered."""

    def __init__(self) -> None:
        self.remembered: dict[tuple[str, str], int] = {}

    def remember(self, access_key_id: str, nonce: str, ttl_seconds: int) -> bool:
        """Remember a nonce; false if it is known."""
        known = (access_key_id, nonce) in self.remembered
        self.remembered[access_key_id, nonce] = ttl_seconds
        return not known


class ReadersOnlyDescribe:
    """Let the key ``reader`` use only actions that describe."""

    def require(self, caller: AccessKey, action: str) -> None:
        """Refuse a reader who wants to change something."""
        if caller.access_key_id == "reader" and not action.startswith("Describe"):
            raise api_error("Forbidden.RAM", f"This key does not include {action}.")
