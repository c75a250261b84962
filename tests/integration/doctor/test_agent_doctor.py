"""``assist-agent doctor`` names each fault of a real system, and nothing else."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cloud_assistant.broker_config import clock, keys
from cloud_assistant.worker.cli import main
from harness.acl_server import redis_server as redis_server
from harness.disk import small_disk
from harness.needs import skip_without
from harness.ports import reserve_port
from harness.redis_server import RedisServer
from harness.system import System

INSTANCE = "i-one"


@dataclass
class Report:
    """What the doctor said."""

    exit_code: int
    findings: dict[str, tuple[str, str, str]]

    def verdict(self, check: str) -> str:
        return self.findings[check][0]

    def text(self, check: str) -> str:
        return self.findings[check][1]

    def mend(self, check: str) -> str:
        return self.findings[check][2]

    @property
    def failing(self) -> list[str]:
        return [check for check, (verdict, *_) in self.findings.items() if verdict == "fail"]


@dataclass
class Patient:
    """A machine with credentials for a server that knows users."""

    folder: Path
    server: RedisServer
    system: System

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def home(self) -> Path:
        return self.system.folder / INSTANCE

    def register(self) -> None:
        self.system.register_with_credentials(INSTANCE, self.config)

    def change(self, before: str, after: str) -> None:
        text = self.config.read_text(encoding="utf-8")
        assert before in text
        self.config.write_text(text.replace(before, after), encoding="utf-8")

    def examine(self) -> Report:
        arguments = ["doctor", "--config", str(self.config), "--home", str(self.home), "--output", "json"]
        outcome = CliRunner().invoke(main, arguments)
        assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
        rows = json.loads(outcome.stdout)["Findings"]
        return Report(outcome.exit_code, {row["Check"]: (row["Verdict"], row["Text"], row["Mend"]) for row in rows})


@pytest.fixture
def patient(redis_server: RedisServer, tmp_path: Path) -> Iterator[Patient]:
    system = System.on(redis_server, tmp_path / "system")
    found = Patient(tmp_path, redis_server, system)
    found.register()
    yield found
    system.stop()


def test_a_healthy_agent_has_nothing_that_fails(patient: Patient) -> None:
    patient.system.start_agent(INSTANCE, credentials=patient.config)
    report = patient.examine()

    assert report.failing == []
    assert report.exit_code == 0
    assert report.text("instance") == "connected"
    assert "runs (pid" in report.text("agent")


def test_an_agent_that_is_not_started_is_the_only_fault(patient: Patient) -> None:
    report = patient.examine()

    assert report.failing == ["agent"]
    assert report.exit_code == 4
    assert report.verdict("instance") == "warn"


def test_a_name_that_no_name_server_knows(patient: Patient) -> None:
    patient.change("127.0.0.1", "no-such-name.invalid")
    report = patient.examine()

    assert report.verdict("name") == "fail"
    assert report.verdict("port") == report.verdict("clock") == "skip"
    assert report.exit_code == 3


def test_a_port_where_nothing_listens(patient: Patient) -> None:
    patient.server.stop()
    report = patient.examine()

    assert report.verdict("name") == "ok"
    assert report.verdict("port") == "fail"
    assert "nothing listens" in report.mend("port")
    assert report.exit_code == 3


def test_a_server_that_hangs(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_assistant.worker.doctor.network_checks._SECONDS", 0.5)
    patient.server.hang()
    try:
        report = patient.examine()
    finally:
        patient.server.resume()

    assert (report.verdict("port"), report.verdict("sign-in")) == ("ok", "fail")
    assert "hangs" in report.mend("sign-in")


def test_a_server_of_another_kind_at_that_port(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(target=_answer_like_a_web_server, args=[listener])
        answering.start()
        patient.change(f":{patient.server.port}/", f":{listener.getsockname()[1]}/")
        report = patient.examine()
        listener.shutdown(socket.SHUT_RDWR)
        answering.join(10)

    assert report.verdict("sign-in") == "fail"
    assert report.mend("sign-in") == "what answers there is no Redis: fix the port in redis_url"


def test_a_server_with_as_many_clients_as_it_may_have(patient: Patient) -> None:
    patient.server.cli("CONFIG", "SET", "maxclients", "1")
    with socket.create_connection(("127.0.0.1", patient.server.port)):
        report = patient.examine()

    assert report.verdict("sign-in") == "fail"
    assert "maxclients" in report.mend("sign-in")


def test_an_address_without_tls_for_a_port_with_it(patient: Patient, tmp_path: Path) -> None:
    with _tls_listener(tmp_path) as port:
        patient.change(f":{patient.server.port}/", f":{port}/")
        report = patient.examine()

    assert report.verdict("sign-in") == "fail"
    assert "rediss://" in report.mend("sign-in")


def test_a_server_that_wants_a_certificate_of_ours(patient: Patient, tmp_path: Path) -> None:
    with _tls_listener(tmp_path, wants_certificate=True) as port:
        patient.change("redis://", "rediss://")
        patient.change(f":{patient.server.port}/0", f":{port}/0?ca={tmp_path / 'server.pem'}")
        report = patient.examine()

    assert (report.verdict("tls"), report.verdict("sign-in")) == ("ok", "fail")
    assert "wants a client certificate" in report.text("sign-in")
    assert "cert=FILE" in report.mend("sign-in")


def test_a_replica_that_takes_nothing(patient: Patient) -> None:
    patient.server.cli("REPLICAOF", "127.0.0.1", "1")
    report = patient.examine()

    assert report.verdict("rights") == "fail"
    assert "names a replica" in report.mend("rights")


def test_a_server_without_memory(patient: Patient) -> None:
    patient.server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    patient.server.cli("CONFIG", "SET", "maxmemory", "1")
    report = patient.examine()

    assert report.verdict("rights") == "fail"
    assert "maxmemory" in report.mend("rights")


def test_it_changes_nothing(patient: Patient) -> None:
    before = _change_count(patient.server)
    assert patient.examine().verdict("rights") == "ok"

    assert _change_count(patient.server) == before


def test_a_slow_name_server_does_not_make_the_clock_wrong(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo

    def slowly(*arguments: Any, **more: Any) -> Any:
        threading.Event().wait(0.5)
        return resolve(*arguments, **more)

    monkeypatch.setattr("socket.getaddrinfo", slowly)
    assert patient.examine().text("clock").startswith("0.0 s")


def test_a_password_that_was_changed(patient: Patient) -> None:
    patient.server.cli("ACL", "SETUSER", f"ca-agent-{INSTANCE}", "resetpass", ">another")
    report = patient.examine()

    assert report.verdict("sign-in") == "fail"
    assert "WRONGPASS" in report.text("sign-in")
    assert "assist instance rotate ID --credentials FILE" in report.mend("sign-in")
    assert report.verdict("rights") == "skip"


def test_credentials_of_another_instance(patient: Patient) -> None:
    patient.change(f'instance_id = "{INSTANCE}"', 'instance_id = "i-two"')
    report = patient.examine()

    assert report.verdict("sign-in") == "ok"
    assert report.verdict("rights") == "fail"
    assert "another instance" in report.mend("rights")


def test_a_machine_that_is_nobody(patient: Patient) -> None:
    patient.change(f'instance_id = "{INSTANCE}"', "")
    report = patient.examine()

    assert "register" in report.mend("identity")
    assert report.verdict("rights") == report.verdict("instance") == "skip"
    assert report.verdict("clock") == "ok"


def test_functions_that_nobody_loaded(patient: Patient) -> None:
    patient.server.cli("FUNCTION", "FLUSH")
    report = patient.examine()

    assert report.verdict("functions") == "fail"
    assert "assist-beat" in report.mend("functions")


@pytest.mark.parametrize(("offset_ms", "verdict"), [(60_000, "warn"), (-600_000, "fail")])
def test_a_clock_that_is_wrong(patient: Patient, monkeypatch: pytest.MonkeyPatch, offset_ms: int, verdict: str) -> None:
    monkeypatch.setattr("cloud_assistant.worker.doctor.network_checks.now_ms", lambda: clock.now_ms() + offset_ms)
    report = patient.examine()

    assert report.verdict("clock") == verdict
    assert ("ahead of" if offset_ms > 0 else "behind") in report.text("clock")
    assert "time server" in report.mend("clock")
    assert report.verdict("instance") == "warn", "it is looked at all the same"


def test_another_agent_with_this_identity(patient: Patient) -> None:
    patient.system.start_agent(INSTANCE, credentials=patient.config)
    other_home = patient.folder / "other-home"
    arguments = ["doctor", "--config", str(patient.config), "--home", str(other_home), "--output", "json"]
    rows = {row["Check"]: row for row in json.loads(CliRunner().invoke(main, arguments).stdout)["Findings"]}

    assert rows["instance"]["Verdict"] == "fail"
    assert socket.gethostname() in rows["instance"]["Text"]


def test_a_quarantine(patient: Patient) -> None:
    patient.server.cli("HSETNX", keys.quarantine(INSTANCE), "reason", "two machines use this identity")
    report = patient.examine()

    assert report.verdict("instance") == "fail"
    assert "two machines" in report.text("instance")
    assert f"assist instance release {INSTANCE}" in report.mend("instance")


def test_a_key_that_is_missing_or_open_to_others(patient: Patient) -> None:
    text = patient.config.read_text(encoding="utf-8")
    patient.config.write_text(text.split("[security]")[0], encoding="utf-8")
    assert "register" in patient.examine().mend("key")

    patient.home.mkdir(mode=0o700, parents=True)
    (patient.home / "instance-key.json").write_text("{}", encoding="utf-8")
    (patient.home / "instance-key.json").chmod(0o644)
    report = patient.examine()
    assert report.verdict("key") == "fail"


def test_a_home_that_others_can_read(patient: Patient) -> None:
    patient.home.mkdir(parents=True)
    patient.home.chmod(0o755)

    report = patient.examine()

    assert report.verdict("home") == "warn"
    assert report.mend("home").startswith("chmod 0700")


def test_a_home_that_belongs_to_somebody_else(patient: Patient) -> None:
    if os.geteuid() != 0:
        skip_without("root", "Run these tests as root in a container.")
    patient.home.mkdir(mode=0o700, parents=True)
    os.chown(patient.home, 65534, 65534)

    assert patient.examine().verdict("home") == "warn"


def test_a_disk_that_is_full(patient: Patient) -> None:
    with small_disk(patient.home, 1_000_000):
        report = patient.examine()

    assert report.verdict("disk") == "fail"
    assert "make room" in report.mend("disk")


def test_a_server_without_tls_at_an_address_with_it(patient: Patient) -> None:
    patient.change("redis://", "rediss://")
    report = patient.examine()

    assert report.verdict("port") == "ok"
    assert report.verdict("tls") == "fail"
    assert "redis://" in report.mend("tls")


def test_a_certificate_that_nobody_vouches_for(patient: Patient, tmp_path: Path) -> None:
    with _tls_listener(tmp_path) as port:
        patient.change("redis://", "rediss://")
        patient.change(f":{patient.server.port}/", f":{port}/")
        report = patient.examine()

    assert report.verdict("tls") == "fail"
    assert "ca=" in report.mend("tls")


def test_it_is_readable_for_people(patient: Patient) -> None:
    outcome = CliRunner().invoke(main, ["doctor", "--config", str(patient.config), "--home", str(patient.home)])

    assert "ok    sign-in        as ca-agent-i-one" in outcome.stdout
    assert "mend: start it: assist-agent start" in outcome.stdout


def _change_count(server: RedisServer) -> int:
    return int(server.cli("INFO", "persistence")["rdb_changes_since_last_save"])


def _answer_like_a_web_server(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(4096):
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@contextlib.contextmanager
def _tls_listener(folder: Path, *, wants_certificate: bool = False) -> Iterator[int]:
    """A server with a certificate that it signed itself; it takes a few connections and says nothing."""
    certificate, key = folder / "server.pem", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if wants_certificate:
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    reserved = reserve_port()
    listener = socket.create_server(("127.0.0.1", reserved.number))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(5)
                    context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield reserved.number
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        reserved.release()
