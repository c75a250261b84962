"""A master, a replica and three sentinels that fail over for real."""

from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis

from harness.eventually import eventually
from harness.ports import reserve_port
from harness.processes import Program, clean_environment
from harness.redis_server import RedisServer, server_binary

MASTER_NAME = "assistant"
_SENTINEL_COUNT = 3
_QUORUM = 2


class SentinelGroup:
    """Two data servers watched by three sentinels; entering starts all of them, leaving stops them.

    ``down_after_ms`` is how long a master must be silent before the sentinels replace it.
    """

    def __init__(self, folder: Path, *, password: str | None = None, down_after_ms: int = 1000) -> None:
        self.folder = folder
        self.password = password
        self.down_after_ms = down_after_ms
        replication: dict[str, str | int] = {"repl-diskless-sync-delay": 0}
        if password:
            replication["masterauth"] = f'"{password}"'
        self.servers = [
            RedisServer(folder / name, password=password, config=replication) for name in ("first", "second")
        ]
        self._reserved = [reserve_port() for _ in range(_SENTINEL_COUNT)]
        self.sentinels = [self._sentinel(reserved.number) for reserved in self._reserved]

    def start(self) -> Self:
        """Start everything; the first server is master, and every sentinel knows the others and the replica."""
        first, second = self.servers
        first.start()
        second.start()
        second.cli("REPLICAOF", "127.0.0.1", first.port)
        eventually(lambda: "master_link_status:up" in self._replication_of(second), 15, "the replica is in step")
        for sentinel in self.sentinels:
            sentinel.start()
        eventually(self._sentinels_see_everything, 20, "each sentinel sees the replica and the other sentinels")
        return self

    def stop(self) -> None:
        for sentinel in self.sentinels:
            sentinel.stop()
        for server in self.servers:
            server.close()
        for reserved in self._reserved:
            reserved.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The sentinels' addresses, for a client."""
        return [("127.0.0.1", reserved.number) for reserved in self._reserved]

    def url(self, database: int = 0) -> str:
        """The group's address as ``CLOUD_ASSISTANT_REDIS_URL`` takes it."""
        login = f":{quote(self.password, safe='')}@" if self.password else ""
        hosts = ",".join(f"{host}:{port}" for host, port in self.addresses)
        return f"sentinel://{login}{hosts}/{MASTER_NAME}/{database}"

    def current_master(self) -> RedisServer:
        """The server that most sentinels now name as master.

        Raises:
            AssertionError: no two sentinels agree within ten seconds.
        """

        def agreed() -> RedisServer | None:
            named = [self._master_port_by(port) for _, port in self.addresses]
            for server in self.servers:
                if named.count(server.port) >= _QUORUM:
                    return server
            return None

        return eventually(agreed, 10, "the sentinels agree on a master")

    def kill_master(self) -> RedisServer:
        """SIGKILL the master and return it; the failover goes on in the background (``wait_for_failover``)."""
        master = self.current_master()
        master.kill()
        return master

    def wait_for_failover(self, from_server: RedisServer, within_seconds: float = 30) -> RedisServer:
        """Wait until another server is master and takes writes; return it."""

        def successor() -> RedisServer | None:
            master = self.current_master()
            if master is from_server or "role:master" not in self._replication_of(master):
                return None
            return master

        return eventually(successor, within_seconds, "another server takes over as master")

    def _sentinel(self, port: int) -> Program:
        folder = self.folder / f"sentinel-{port}"
        folder.mkdir(parents=True, exist_ok=True)
        watched = f"{MASTER_NAME} 127.0.0.1 {self.servers[0].port} {_QUORUM}"
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f"sentinel monitor {watched}",
            f"sentinel down-after-milliseconds {MASTER_NAME} {self.down_after_ms}",
            f"sentinel failover-timeout {MASTER_NAME} {self.down_after_ms * 5}",
        ]
        if self.password:
            lines.append(f"sentinel auth-pass {MASTER_NAME} {self.password}")
        config = folder / "sentinel.conf"
        config.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return Program(
            [server_binary(), config, "--sentinel"],
            env=clean_environment(folder),
            cwd=folder,
            log_path=folder / "sentinel.log",
            name=f"sentinel:{port}",
        )

    def _replication_of(self, server: RedisServer) -> str:
        """INFO replication as plain text; empty while the server does not answer."""
        try:
            with server.client() as client:
                info = client.info("replication")
        except (redis.ConnectionError, redis.TimeoutError):
            return ""
        return "\n".join(f"{name}:{value}" for name, value in info.items())

    def _sentinels_see_everything(self) -> bool:
        for _, port in self.addresses:
            with _sentinel_client(port) as client:
                state = client.sentinel_master(MASTER_NAME)
            if int(state["num-slaves"]) < 1 or int(state["num-other-sentinels"]) < _SENTINEL_COUNT - 1:
                return False
        return True

    def _master_port_by(self, sentinel_port: int) -> int | None:
        try:
            with _sentinel_client(sentinel_port) as client:
                address = client.sentinel_get_master_addr_by_name(MASTER_NAME)
        except (redis.ConnectionError, redis.TimeoutError):
            return None
        return int(address[1]) if address else None


def _sentinel_client(port: int) -> "redis.Redis":
    return redis.Redis(host="127.0.0.1", port=port, decode_responses=True, socket_timeout=2)
