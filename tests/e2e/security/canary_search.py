"""Look for secrets wherever they must not be: in Redis, on its channels, on disk, in lists of processes, in answers."""

import base64
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis


def forms_of(secret: str) -> list[bytes]:
    """The ways in which a secret may have been written down: as it is, in Base64, in hexadecimal, in a URL."""
    raw = secret.encode()
    forms = {raw, raw.hex().encode(), quote(secret, safe="").encode()}
    for shift in range(3):
        # Whatever stands before and after it: only the digits that depend on the secret alone.
        inner = base64.b64encode(b"\0" * shift + raw)[(0, 2, 3)[shift] :].rstrip(b"=")
        forms.add(inner[:-1] if len(raw) + shift else inner)
    try:
        binary = bytes.fromhex(secret)
    except ValueError:
        return sorted(forms)
    return sorted({*forms, binary, base64.b64encode(binary)})


class Found(AssertionError):
    """A secret was found; the text says which and where, and not what it is."""


class CanarySearch:
    """Knows secrets by name, and searches texts for all of them."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: forms_of(secret) for name, secret in secrets.items()}

    def names_in(self, data: bytes) -> set[str]:
        """The names of the secrets that a text holds in whatever form."""
        return {name for name, forms in self._forms.items() if any(form in data for form in forms)}

    def search(self, places: Iterable[tuple[str, bytes]], allowed: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
        """Search every place; ``allowed`` names, by secret, the places (parts of their names) that must hold it.

        Returns how often each secret was found where it is allowed.

        Raises:
            Found: a secret is where it must not be.
        """
        counts = dict.fromkeys(self._forms, 0)
        for place, data in places:
            for name in self.names_in(data):
                if not any(part in place for part in allowed.get(name, ())):
                    raise Found(f"the {name} is in {place}")
                counts[name] += 1
        return counts


def keys_of(client: "redis.Redis") -> Iterator[tuple[str, bytes]]:
    """Every key with its whole value, read by type: a dump may be compressed."""
    for key in client.scan_iter(count=1000):
        name = key.decode("utf-8", "replace")
        yield f"redis key {name}", key + b"\0" + _flat(_value(client, key, _flat(client.type(key)).decode()))


def _value(client: "redis.Redis", key: bytes, kind: str) -> Any:
    match kind:
        case "string":
            return client.get(key)
        case "hash":
            return client.hgetall(key)
        case "list":
            return client.lrange(key, 0, -1)
        case "set":
            return client.smembers(key)
        case "zset":
            return client.zrange(key, 0, -1)
        case "stream":
            return client.xrange(key)
        case "none":
            return b""
    raise AssertionError(f"no reader for keys of type {kind}")


def _flat(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | set):
        return b"\0".join(_flat(one) for one in value)
    return str(value).encode()


def processes() -> Iterator[tuple[str, bytes]]:
    """Command line and environment of every process of this machine, scripts of executions named as such."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        shown = command.replace(b"\0", b" ").decode("utf-8", "replace")[:120]
        yield f"command line of {folder.name} ({shown})", command
        kind = "script's environment" if b"CA_EXECUTION_ID=" in environment else "environment"
        yield f"{kind} of {folder.name} ({shown})", environment


class Ear:
    """Hears everything that is published."""

    def __init__(self, client: "redis.Redis") -> None:
        self._listening = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py types it not
        self._listening.psubscribe("*")
        self._heard: list[bytes] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._end.is_set():
            message = self._listening.get_message(timeout=0.1)
            if message is not None:
                self._heard.append(_flat([message["channel"], message["data"]]))

    def heard(self) -> Iterator[tuple[str, bytes]]:
        """What was published so far."""
        for one in list(self._heard):
            yield f"channel {one.partition(bytes(1))[0].decode()}", one

    def close(self) -> None:
        self._end.set()
        self._thread.join(5)
        self._listening.close()
