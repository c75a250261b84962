"""Two Redis servers and three sentinels from the files in deploy/production, with TLS and users, on this machine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from harness import reaper
from harness.eventually import eventually
from harness.ports import reserve_port
from harness.processes import Program, clean_environment
from harness.redis_server import server_binary

REPOSITORY = Path(__file__).resolve().parents[3]
REDIS_FILES = REPOSITORY / "deploy" / "production" / "redis"


def changed(text: str, changes: dict[str, str]) -> str:
    """A configuration with some of its lines changed; each must be there."""
    for before, after in changes.items():
        assert before in text, f"{before!r} is not in the file"
        text = text.replace(before, after)
    return text


class RedisSite:
    """Starts as many servers as are asked for; the first is master."""

    def __init__(self, folder: Path, *, server_count: int = 1) -> None:
        self.folder = folder
        self.binary = server_binary(with_tls=True)
        self._reserved = [reserve_port() for _ in range(server_count + 3)]
        self.ports = [one.number for one in self._reserved[:server_count]]
        self.sentinel_ports = [one.number for one in self._reserved[server_count:]]
        self.tls = folder / "tls"
        self.users = folder / "users"
        subprocess.run([REPOSITORY / "deploy" / "make-test-ca", self.tls], check=True, capture_output=True)
        made = self.run_script("make-users", "--redis", self.url(self.ports[0]), "--out", str(self.users))
        assert made.returncode == 0, made.stderr
        self.servers = [self._server(number) for number in range(server_count)]
        self.sentinels: list[Program] = []

    def run_script(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the Python scripts beside the configuration."""
        command = [sys.executable, str(REDIS_FILES / name), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def password(self, user: str) -> str:
        return (self.users / f"{user}.password").read_text(encoding="utf-8").strip()

    def url(self, port: int, user: str = "") -> str:
        login = f"{user}:{self.password(user)}@" if user else ""
        return f"rediss://{login}127.0.0.1:{port}/0?ca={self.tls / 'ca.crt'}"

    def sentinel_url(self, user: str = "admin") -> str:
        places = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"sentinel://{user}:{self.password(user)}@{places}/assistant/0?tls=yes&ca={self.tls / 'ca.crt'}"

    def cli(self, port: int, *command: str) -> str:
        """Ask a server as its administrator."""
        return self._ask(port, "--user", "admin", "--pass", self.password("admin"), "--no-auth-warning", *command)

    def ask_sentinel(self, port: int, *command: str) -> str:
        return self._ask(port, *command)

    def start_sentinels(self) -> None:
        """Have all three watch the first server; returns when they know each other and the replica."""
        for port in self.sentinel_ports:
            program = self._sentinel(port)
            self.sentinels.append(program)
            program.start()

        def all_known() -> bool:
            shown = [
                self.ask_sentinel(port, "SENTINEL", "MASTER", "assistant").split("\n") for port in self.sentinel_ports
            ]
            facts = [dict(zip(lines[::2], lines[1::2], strict=False)) for lines in shown]
            return all(one.get("num-slaves") == "1" and one.get("num-other-sentinels") == "2" for one in facts)

        eventually(all_known, 30, "each sentinel knows the replica and the others")

    def __enter__(self) -> Self:
        for port, server in zip(self.ports, self.servers, strict=True):
            server.start()
            eventually(lambda port=port: self.cli(port, "PING") == "PONG", 15, "the server answers")  # type: ignore[misc]
        return self

    def __exit__(self, *_: object) -> None:
        for program in [*self.sentinels, *self.servers]:
            program.stop()
        reaper.kill_users_of(self.folder)
        for one in self._reserved:
            one.release()

    def _ask(self, port: int, *command: str) -> str:
        tls = ["--tls", "--cacert", str(self.tls / "ca.crt")]
        outcome = subprocess.run(
            ["redis-cli", "-p", str(port), *tls, *command], capture_output=True, text=True, check=False, timeout=20
        )
        return outcome.stdout.strip()

    def _server(self, number: int) -> Program:
        folder = self.folder / f"server-{number}"
        folder.mkdir()
        (folder / "users.acl").write_bytes((self.users / "users.acl").read_bytes())
        changes = {
            "bind 127.0.0.1 ::1": "bind 127.0.0.1",
            "tls-port 6379": f"tls-port {self.ports[number]}",
            "/etc/redis/tls": str(self.tls),
            "/etc/redis/users.acl": str(folder / "users.acl"),
            "/var/lib/redis": str(folder),
            # This machine may not have so many descriptors.
            "maxclients 30000": "maxclients 500",
            "# masteruser": "masteruser",
            "# masterauth CHANGE-ME": f"masterauth {self.password('ca-replica')}",
        }
        if number:
            changes["# replicaof redis-1.example 6379"] = f"replicaof 127.0.0.1 {self.ports[0]}"
        config = folder / "redis.conf"
        config.write_text(changed((REDIS_FILES / "redis.conf").read_text(encoding="utf-8"), changes), encoding="utf-8")
        return self._program(f"redis-{number}", folder, [self.binary, config])

    def _sentinel(self, port: int) -> Program:
        folder = self.folder / f"sentinel-{port}"
        folder.mkdir()
        changes = {
            "# tls-port 26379\n# port 0": f"tls-port {port}\nport 0\nbind 127.0.0.1",
            "port 26379\n": "",
            "/var/lib/redis-sentinel": str(folder),
            "redis-1.example 6379": f"127.0.0.1 {self.ports[0]}",
            "auth-pass assistant CHANGE-ME": f"auth-pass assistant {self.password('ca-sentinel')}",
            "down-after-milliseconds assistant 5000": "down-after-milliseconds assistant 1000",
            "failover-timeout assistant 60000": "failover-timeout assistant 5000",
            "# tls-": "tls-",
            "/etc/redis/tls": str(self.tls),
        }
        text = (REDIS_FILES / "sentinel.conf").read_text(encoding="utf-8")
        config = folder / "sentinel.conf"
        config.write_text(changed(text, changes), encoding="utf-8")
        return self._program(f"sentinel-{port}", folder, [self.binary, config, "--sentinel"])

    @staticmethod
    def _program(name: str, folder: Path, argv: list[Path | str]) -> Program:
        environment = clean_environment(folder) | {"PATH": os.defpath}
        return Program(argv, env=environment, cwd=folder, log_path=folder / "server.log", name=name)
