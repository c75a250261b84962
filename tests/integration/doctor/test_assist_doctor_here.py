"""What ``assist doctor`` finds on its own machine, and of a gateway and a beat, each at its very limit."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.functions.function_library import TEXT_VERSION
from cloud_assistant.broker_config.programs.findings import Finding
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.url import parse_url
from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.broker_config.settings_table import GatewaySettings, SecuritySettings, Settings
from cloud_assistant.producer import beat_presence
from cloud_assistant.producer.doctor import local_checks, server_checks
from cloud_assistant.producer.doctor.fleet_checks import FleetChecks
from cloud_assistant.producer.doctor.user_checks import UserChecks
from harness.redis_server import RedisServer


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    write_master_keys(home / "master-key.json", new_master_keys())
    return home


def here(home: Path) -> dict[str, Finding]:
    return {one.check: one for one in local_checks.local_checks(Settings(home=str(home)))}


def around(redis: Redis, gateway: GatewaySettings) -> dict[str, Finding]:
    return {one.check: one for one in FleetChecks(redis, Settings(gateway=gateway)).all()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_master_key_of_another_user_is_found(home: Path) -> None:
    assert here(home)["master key"].verdict == "ok"
    os.chown(home / "master-key.json", 65534, 65534)
    finding = here(home)["master key"]
    assert (finding.verdict, "belongs to another user" in finding.text) == ("fail", True)


def test_a_master_key_file_that_is_named_and_missing_can_be_copied_or_made(tmp_path: Path) -> None:
    named = SecuritySettings(master_key_file=str(tmp_path / "absent.json"))
    finding = next(local_checks.local_checks(Settings(security=named)))
    assert (finding.verdict, finding.text) == ("fail", f"{tmp_path / 'absent.json'} does not exist")
    assert finding.mend == "copy it here from where it was made, or make the first one: assist key create"


@pytest.mark.parametrize(("mode", "verdict"), [(0o720, "fail"), (0o702, "fail"), (0o755, "ok")])
def test_a_home_that_others_can_write_is_found(home: Path, mode: int, verdict: str) -> None:
    home.chmod(mode)
    assert here(home)["home"].verdict == verdict


@pytest.mark.parametrize(("most", "verdict"), [("_DISK_WARN_BYTES", "warn"), ("_DISK_FAIL_BYTES", "fail")])
def test_little_room_is_found(home: Path, monkeypatch: pytest.MonkeyPatch, most: str, verdict: str) -> None:
    monkeypatch.setattr(local_checks, most, 1 << 60)
    assert here(home)["disk"].verdict == verdict


def test_an_installation_without_any_key_is_told_from_one_whose_key_is_elsewhere(redis: Redis, tmp_path: Path) -> None:
    nowhere = Settings(home=str(tmp_path / "absent"))
    finding = local_checks.installation_key(redis, nowhere)
    assert (finding.verdict, finding.mend) == ("warn", "assist key create")
    redis.call("HSET", keys.MASTER_KEYS, "k1", "digest")
    finding = local_checks.installation_key(redis, nowhere)
    assert (finding.verdict, "copy the master key file" in finding.mend) == ("fail", True)


@contextlib.contextmanager
def gateway_that_answers(text: bytes) -> Iterator[str]:
    """What takes one connection, and says the same whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            line, _ = listener.accept()
            with line:
                line.recv(4096)
                line.sendall(text)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(
    ("text", "said", "mend"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "http://", ""),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "/healthz answers 503", "see the gateway's log"),
        (b"220 mail\r\n", "does not answer (220 mail", "start assist-gateway, or correct gateway.url"),
    ],
)
def test_a_gateway_is_asked_how_it_is(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, text: bytes, said: str, mend: str
) -> None:
    monkeypatch.setattr(beat_presence, "_LOOK_SECONDS", 0.01)
    with gateway_that_answers(text) as url:
        finding = around(redis, GatewaySettings(url=url))["gateway"]
    assert finding.verdict == ("fail" if mend else "ok")
    assert (said in finding.text, finding.mend.startswith(mend)) == (True, True)


def test_a_gateway_on_a_unix_socket_is_looked_for_there(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(beat_presence, "_LOOK_SECONDS", 0.01)
    finding = around(redis, GatewaySettings(unix_socket=str(tmp_path / "gateway")))["gateway"]
    assert (finding.verdict, finding.text.startswith(f"none at http+unix://{tmp_path}/gateway")) == ("warn", True)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ({"cluster_enabled": "1", "valkey_version": "9.0.0"}, "a Redis Cluster"),
        ({"role": "slave", "valkey_version": "9.0.0"}, "a read-only replica"),
        ({"redis_version": "6.2.14"}, "Redis 6.2.14 has no functions"),
    ],
)
def test_a_server_that_cannot_do_it_is_found(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, info: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(server_checks, "_parsed", lambda _: info)
    findings = {one.check: one for one in server_checks.ServerChecks(redis).all()}
    assert (findings["server"].verdict, findings["server"].text) == ("fail", said)


def test_what_lies_within_a_slow_answer_is_no_difference_of_clocks(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets_ms = [-3_000, 3_000]
    monkeypatch.setattr(server_checks, "now_ms", lambda: now_ms() + offsets_ms.pop(0))
    findings = {one.check: one for one in server_checks.ServerChecks(redis).all()}
    assert (findings["clock"].verdict, "differ by 0.0 s" in findings["clock"].text) == ("ok", True)


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("rediss://redis.example/0?verify=no", "fail"),
        ("rediss://redis.example/0", "ok"),
        ("redis://redis.example/0", "warn"),
        ("redis://localhost/0", "ok"),
        ("unix:///run/redis.sock", "ok"),
    ],
)
def test_what_others_could_read_on_the_way_is_found(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, address: str, verdict: str
) -> None:
    monkeypatch.setattr(redis, "address", parse_url(address))
    findings = {one.check: one for one in server_checks.ServerChecks(redis).all()}
    assert findings["tls"].verdict == verdict


@pytest.mark.parametrize(("newer", "verdict"), [(1, "ok"), (0, "fail"), (-1, "fail")])
def test_functions_of_a_newer_release_serve_this_one(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, newer: int, verdict: str
) -> None:
    monkeypatch.setattr(server_checks, "library_source", lambda: "another text")
    monkeypatch.setattr(server_checks, "text_version", lambda _: TEXT_VERSION + newer)
    findings = {one.check: one for one in server_checks.ServerChecks(redis).all()}
    assert findings["functions"].verdict == verdict


def test_a_default_user_that_is_open_is_worse_from_elsewhere_and_nothing_when_it_is_off(
    redis: Redis, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def default_user(reader: Redis) -> str:
        return next(one for one in UserChecks(reader).all() if one.check == "default user").verdict

    assert default_user(redis) == "warn"
    redis.call("ACL", "SETUSER", "admin", "on", ">pw", "~*", "&*", "+@all")
    admin = Redis(redis_server.url("admin", "pw"))
    admin.call("ACL", "SETUSER", "default", "off")
    assert default_user(admin) == "ok"
    admin.call("ACL", "SETUSER", "default", "on")
    admin.close()
    monkeypatch.setattr(redis, "address", parse_url("redis://redis.example/0"))
    assert default_user(redis) == "fail"


@pytest.mark.parametrize(("used", "verdict"), [(749, "ok"), (750, "warn"), (899, "warn"), (900, "fail")])
def test_how_much_of_the_memory_is_used_is_told_in_time(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, used: int, verdict: str
) -> None:
    monkeypatch.setattr(server_checks, "_parsed", lambda _: {"used_memory": str(used), "maxmemory": "1000"})
    findings = {one.check: one for one in server_checks.ServerChecks(redis).all()}
    assert findings["memory"].verdict == verdict


def test_certificates_for_the_gateway_that_cannot_be_read_are_found(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beat_presence, "_LOOK_SECONDS", 0.01)
    finding = around(redis, GatewaySettings(url="https://127.0.0.1:1", ca_file="/nowhere/ca.pem"))["gateway"]
    assert (finding.verdict, "/nowhere/ca.pem" in finding.text) == ("fail", True)


@pytest.mark.parametrize(("late_ms", "is_told"), [(30_000, False), (90_000, True)])
def test_a_deadline_that_has_just_passed_is_still_beats_to_settle(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, late_ms: int, is_told: bool
) -> None:
    monkeypatch.setattr(beat_presence, "_LOOK_SECONDS", 0.01)
    redis.call("ZADD", keys.DEADLINES, now_ms() - late_ms, "t-1.0@i-1")
    finding = around(redis, GatewaySettings(port=1))["beat"]
    assert ("past its deadline" in finding.text) == is_told


def test_queues_are_told_before_they_are_full(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beat_presence, "_LOOK_SECONDS", 0.01)
    settings = Settings(gateway=GatewaySettings(port=1))
    half, long = settings.limits.queue_count // 2, 100
    redis.call("ZADD", keys.INSTANCES, 0, "i-1")
    for count, verdict in ((long - 1, "ok"), (long, "warn"), (half - 1, "warn"), (half, "fail")):
        redis.call("DEL", keys.queue("i-1"))
        redis.call("LPUSH", keys.queue("i-1"), *["x"] * count)
        finding = around(redis, settings.gateway)["queues"]
        assert (finding.verdict, finding.text.startswith(f"{count:,} messages wait")) == (verdict, True)
