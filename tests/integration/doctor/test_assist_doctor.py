"""``assist doctor`` on real servers, each misconfigured in one way: it finds that, and says how to fix it."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_assistant.beat.maintenance import Maintenance, Work
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.functions.function_library import LIBRARY_NAME, load_library
from cloud_assistant.broker_config.programs.findings import Finding
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.broker_config.settings import load
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant, beat_presence
from cloud_assistant.producer.cli import main
from cloud_assistant.producer.doctor import local_checks, server_checks
from cloud_assistant.producer.doctor.examination import examine
from cloud_assistant.producer.security.agent_rights import agent_user
from cloud_assistant.producer.security.program_rights import ControlProgram, program_rules, program_user
from harness.eventually import eventually
from harness.old_rights import FLOWER_OF_THE_FIRST_RELEASE, agent_rules_of_the_first_release
from harness.redis_server import RedisServer

ADMIN = "administrator"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server as it should be."""
    config: dict[str, str | int] = {"maxmemory": 200_000_000, "maxmemory-policy": "noeviction"}
    with RedisServer(tmp_path / "redis", password=ADMIN, keeps_users=True, config=config) as server:
        yield server


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    write_master_keys(home / "master-key.json", new_master_keys())
    loaded = load({"home": str(home)}).settings
    return replace(loaded, redis_url=redis_server.url(), gateway=replace(loaded.gateway, port=1))


@pytest.fixture
def assistant(settings: Settings) -> Iterator[Assistant]:
    """An installation that is well, but for a gateway: one instance with credentials, all users, a beat."""
    with Assistant(settings=settings) as made:
        redis = made.redis
        load_library(redis)
        made.add_instance("i-1")
        made.trust.issue_credentials("i-1")
        redis.call("HSET", keys.info("i-1"), "heartbeat_ms", 1)
        for program in ControlProgram:
            name = program_user(program)
            redis.call("ACL", "SETUSER", name, "reset", "on", ">x", *program_rules(program, database=0))
        maintenance = Maintenance(redis, "test", [Work("sweep", 2.0, lambda: None)])
        maintenance.start()
        yield made
        maintenance.close()


@pytest.fixture
def found(assistant: Assistant) -> Callable[..., dict[str, Finding]]:
    """Examine, and answer the findings by name."""

    def look(settings: Settings | None = None) -> dict[str, Finding]:
        chosen = settings or assistant.settings
        redis = Redis(chosen.redis_url, connect_timeout_seconds=2.0)
        try:
            return {one.check: one for one in examine(redis, chosen)}
        finally:
            redis.close()

    return look


Found = Callable[..., dict[str, Finding]]


def test_an_installation_that_is_well_has_nothing_to_mend(found: Found) -> None:
    findings = found()
    unwell = {name: one for name, one in findings.items() if one.verdict != "ok"}
    # This one has no gateway, and need not have one.
    assert set(unwell) == {"gateway"}, unwell
    assert unwell["gateway"].verdict == "warn"


def _config(*pair: str) -> Callable[[Redis], None]:
    return lambda redis: redis.call("CONFIG", "SET", *pair)


def _leave_no_headroom(redis: Redis) -> None:
    info = dict(line.split(":", 1) for line in redis.call("INFO", "memory").decode().splitlines() if ":" in line)
    # Little enough to be told, and enough for what the programs of a test write meanwhile.
    redis.call("CONFIG", "SET", "maxmemory", int(int(info["used_memory"]) * 1.08))


def _drop_library(redis: Redis) -> None:
    redis.call("FUNCTION", "DELETE", LIBRARY_NAME)


def _change_library(redis: Redis) -> None:
    _drop_library(redis)
    code = f"#!lua name={LIBRARY_NAME}\nredis.register_function('ca_claim', function() return 1 end)"
    redis.call("FUNCTION", "LOAD", code)


def _forget_master_key(redis: Redis) -> None:
    redis.call("HSET", keys.MASTER_KEYS, "k1", "0123456789abcdef")


def _fill_queue(redis: Redis) -> None:
    redis.call("RPUSH", keys.queue("i-1"), *["x"] * 6_000)


WRONG = [
    pytest.param(_config("maxmemory-policy", "allkeys-lru"), "eviction", "fail", id="eviction"),
    pytest.param(_config("appendonly", "no"), "persistence", "fail", id="no append-only file"),
    pytest.param(_config("appendfsync", "no"), "persistence", "fail", id="no fsync"),
    pytest.param(_config("maxmemory", "0"), "memory", "warn", id="no maxmemory"),
    pytest.param(_leave_no_headroom, "memory", "fail", id="no headroom"),
    pytest.param(_drop_library, "functions", "fail", id="no functions"),
    pytest.param(_change_library, "functions", "fail", id="other functions"),
    pytest.param(_forget_master_key, "installation", "fail", id="another master key"),
    pytest.param(lambda redis: redis.call("ACL", "DELUSER", agent_user("i-1")), "agent users", "fail", id="user gone"),
    pytest.param(
        lambda redis: redis.call("ACL", "SETUSER", agent_user("i-1"), "+scan"), "agent users", "fail", id="more rights"
    ),
    pytest.param(
        lambda redis: redis.call("ACL", "SETUSER", agent_user("i-1"), "~ca:*"), "agent users", "fail", id="more keys"
    ),
    pytest.param(
        lambda redis: redis.call("ACL", "SETUSER", agent_user("i-1"), "-fcall"), "agent users", "fail", id="fewer"
    ),
    pytest.param(
        lambda redis: redis.call("ACL", "SETUSER", agent_user("i-0"), "on"), "agent users", "fail", id="stranger"
    ),
    pytest.param(
        lambda redis: redis.call("ACL", "SETUSER", "ca-beat", "+@all"), "program users", "fail", id="program's rights"
    ),
    pytest.param(
        lambda redis: redis.call("HSET", keys.CREDENTIALS, "i-1", "{"), "agent users", "fail", id="credentials' record"
    ),
    pytest.param(lambda redis: redis.call("DEL", keys.info("i-1")), "agents", "warn", id="agent silent"),
    pytest.param(
        lambda redis: redis.call("HSET", keys.quarantine("i-1"), "reason", "x"), "agents", "warn", id="quarantine"
    ),
    pytest.param(_fill_queue, "queues", "fail", id="queue full"),
    pytest.param(lambda redis: redis.call("RPUSH", keys.queue("i-1"), *["x"] * 200), "queues", "warn", id="queue long"),
    pytest.param(lambda redis: redis.call("ZADD", keys.DEADLINES, 1, "t-1.0@i-1"), "beat", "fail", id="nobody sweeps"),
    pytest.param(
        lambda redis: redis.call("SET", keys.keyless_beat_turn("settle"), "x"), "beat", "fail", id="keyless beat"
    ),
]


@pytest.mark.parametrize(("spoil", "name", "verdict"), WRONG)
def test_each_thing_that_is_wrong_is_found_alone_and_with_its_remedy(
    assistant: Assistant, found: Found, spoil: Callable[[Redis], None], name: str, verdict: str
) -> None:
    spoil(assistant.redis)
    findings = found()
    assert findings[name].verdict == verdict, findings[name]
    assert findings[name].mend
    others = {one.check: one for one in findings.values() if one.verdict == "fail" and one.check != name}
    assert not others


def test_what_it_names_for_rights_of_an_earlier_release_mends_them(assistant: Assistant, found: Found) -> None:
    rules = agent_rules_of_the_first_release("i-1")
    assistant.redis.call("ACL", "SETUSER", agent_user("i-1"), "clearselectors", *rules)
    assistant.redis.call("ACL", "SETUSER", "ca-flower", *FLOWER_OF_THE_FIRST_RELEASE)
    findings = found()
    assert "assist instance renew-rights --all" in findings["agent users"].mend
    assert "assist program renew-rights --all" in findings["program users"].mend
    assistant.trust.renew_rights()
    assistant.trust.renew_program_rights()
    findings = found()
    assert (findings["agent users"].verdict, findings["program users"].verdict) == ("ok", "ok")


def test_a_server_that_cannot_save_is_examined_and_told_as_that(assistant: Assistant, found: Found) -> None:
    redis = assistant.redis
    [_, folder] = redis.call("CONFIG", "GET", "dir")
    (Path(os.fsdecode(folder)) / "dump.rdb" / "in the way").mkdir(parents=True)
    redis.call("CONFIG", "SET", "save", "3600 1")
    redis.call("BGSAVE")
    eventually(lambda: b"rdb_last_bgsave_status:err" in redis.call("INFO", "persistence"), 10, "the server to fail")
    with pytest.raises(RedisRefused, match="MISCONF"):
        redis.call("SET", keys.NEVER_THERE, "")
    findings = found()
    assert findings["redis"].verdict == "ok"
    assert findings["server disk"].verdict == "fail"
    assert "make room" in findings["server disk"].mend
    assert findings["agents"].verdict == "ok"


def test_a_refusal_of_the_server_is_told_with_what_is_to_be_done_about_it(settings: Settings) -> None:
    redis = Redis(settings.redis_url.replace(f":{ADMIN}@", ":wrong@"))
    [*_, last] = examine(redis, settings)
    redis.close()
    assert (last.check, last.verdict) == ("redis", "fail")
    assert "put user and password into its address" in last.mend


def test_a_default_user_without_a_password_is_found(assistant: Assistant, found: Found, settings: Settings) -> None:
    assistant.redis.call("ACL", "SETUSER", "default", "nopass")
    open_to_all = replace(settings, redis_url=settings.redis_url.replace(f":{ADMIN}@", ""))
    finding = found(open_to_all)["default user"]
    assert (finding.verdict, "resetpass" in finding.mend) == ("warn", True)


def test_the_doctor_leaves_no_user_behind_and_changes_nothing(assistant: Assistant, found: Found) -> None:
    before = assistant.redis.call("ACL", "LIST")
    found()
    assert assistant.redis.call("ACL", "LIST") == before


def test_a_beat_needs_no_key_where_nothing_is_signed(assistant: Assistant, found: Found) -> None:
    assistant.redis.call("SET", keys.keyless_beat_turn("settle"), "x")
    assistant.redis.call("DEL", keys.MASTER_KEYS)
    assert found()["beat"].verdict == "ok"


def test_no_beat_at_work_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beat_presence, "_LOOK_SECONDS", 0.01)
    redis = Redis(settings.redis_url)
    findings = {one.check: one for one in examine(redis, settings)}
    redis.close()
    assert (findings["beat"].verdict, "assist-beat" in findings["beat"].mend) == ("fail", True)
    # Nothing was loaded nor registered here either.
    assert findings["functions"].verdict == "fail"
    assert findings["program users"].verdict == "warn"
    assert findings["agents"].verdict == "warn"


def test_a_server_without_an_acl_file_is_found(tmp_path: Path, settings: Settings) -> None:
    with RedisServer(tmp_path / "other") as server:
        redis = Redis(server.url())
        findings = {one.check: one for one in examine(redis, replace(settings, redis_url=server.url()))}
        redis.close()
    assert findings["ACL file"].verdict == "warn"
    assert "aclfile" in findings["ACL file"].mend


def test_a_master_key_that_others_can_read_is_found(settings: Settings, found: Found) -> None:
    path = Path(settings.home) / "master-key.json"
    path.chmod(0o644)
    finding = found()["master key"]
    assert (finding.verdict, "chmod 600" in finding.mend) == ("fail", True)


def test_a_missing_master_key_of_an_installation_that_has_one_is_found(
    assistant: Assistant, settings: Settings, found: Found
) -> None:
    assert assistant.trust.master
    (Path(settings.home) / "master-key.json").unlink()
    assert found()["installation"].verdict == "fail"


def test_a_home_that_others_can_write_is_found(settings: Settings, found: Found) -> None:
    Path(settings.home).chmod(0o777)
    assert found()["home"].verdict == "fail"


@pytest.mark.parametrize(
    ("name", "said"), [("x" * 300, "cannot be looked into: File name too long"), ("file", "is no folder")]
)
def test_a_home_that_is_none_hides_nothing_else(settings: Settings, found: Found, name: str, said: str) -> None:
    home = Path(settings.home) / name
    if name == "file":
        home.touch()
    findings = found(replace(settings, home=str(home)))
    assert (findings["home"].verdict, said in findings["home"].text) == ("fail", True)
    assert findings["beat"].verdict == "ok"


def test_a_full_disk_is_found(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_checks, "_DISK_FAIL_BYTES", 1 << 60)
    assert found()["disk"].verdict == "fail"


def test_a_wrong_clock_is_found(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_checks, "now_ms", lambda: now_ms() + 600_000)
    assert found()["clock"].verdict == "fail"
    monkeypatch.setattr(server_checks, "now_ms", lambda: now_ms() - 5_000)
    assert found()["clock"].verdict == "warn"


def test_a_gateway_whose_address_is_none_is_found_and_all_else_looked_at(settings: Settings, found: Found) -> None:
    named = found(replace(settings, gateway=replace(settings.gateway, url="ftp://gateway")))
    assert (named["gateway"].verdict, named["gateway"].mend) == ("fail", "correct gateway.url, or leave it unset")
    assert "queues" in named


def test_a_gateway_that_listens_on_an_address_of_ipv6_is_looked_for_there(settings: Settings, found: Found) -> None:
    there = found(replace(settings, gateway=replace(settings.gateway, host="::1", port=1)))["gateway"]
    assert (there.verdict, there.text.startswith("none at http://[::1]:1 (")) == ("warn", True), there


def test_a_server_that_does_not_say_what_it_is_hides_nothing_else(
    found: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_checks, "_parsed", lambda _: {})
    findings = found()
    assert findings["server"].verdict == "warn"
    assert "queues" in findings


def test_a_named_gateway_that_is_not_there_or_not_well_is_found(settings: Settings, found: Found) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        named = replace(settings, gateway=replace(settings.gateway, url=url))
        assert found(named)["gateway"].verdict == "fail"


def test_an_address_in_clear_beyond_this_machine_is_found(found: Found, settings: Settings) -> None:
    name = socket.gethostname()
    try:
        reachable = bool(socket.getaddrinfo(name, None))
    except OSError:
        reachable = False
    if not reachable:
        pytest.skip("this machine cannot resolve its own name")
    elsewhere = replace(settings, redis_url=settings.redis_url.replace("127.0.0.1", name))
    findings = found(elsewhere)
    # Where the server listens on loopback alone it does not answer under that name.
    assert findings["tls"].verdict == "warn" if "tls" in findings else findings["redis"].verdict == "fail"


def test_a_user_that_may_not_look_is_told_so_and_sees_the_rest(found: Found, settings: Settings) -> None:
    as_gateway = found(replace(settings, redis_url=settings.redis_url.replace(f":{ADMIN}@", "ca-gateway:x@")))
    assert as_gateway["users"].verdict == "warn"
    assert "administrator" in as_gateway["users"].mend
    assert as_gateway["eviction"].verdict == "ok"
    as_operator = found(replace(settings, redis_url=settings.redis_url.replace(f":{ADMIN}@", "ca-producer:x@")))
    assert {name for name, one in as_operator.items() if one.verdict == "warn"} == {
        *("server", "functions", "users", "gateway")
    }
    for findings in (as_gateway, as_operator):
        assert findings["agents"].verdict == "ok"
        assert findings["beat"].verdict == "ok"
        assert not [one for one in findings.values() if one.verdict == "fail"]


def test_no_redis_is_one_failure_and_the_machine_is_still_examined(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_HOME", settings.home)
    assert main(["doctor", "--redis-url", "redis://127.0.0.1:1", "--output", "json"]) == 3
    shown = {one["Check"]: one["Verdict"] for one in json.loads(capsys.readouterr().out)["Findings"]}
    assert shown["redis"] == "fail"
    assert shown["master key"] == "ok"


@pytest.mark.usefixtures("assistant")
@pytest.mark.parametrize("password", ["", ":wrong@"], ids=["none", "wrong"])
def test_a_server_that_lets_us_not_in_is_told_with_the_address_to_mend(
    settings: Settings, found: Found, password: str
) -> None:
    finding = found(replace(settings, redis_url=settings.redis_url.replace(f":{ADMIN}@", password)))["redis"]
    assert finding.verdict == "fail"
    assert "redis://USER:PASSWORD@HOST" in finding.mend


def test_certificates_that_do_not_do_are_told_as_that_and_not_as_a_server_that_is_away(
    settings: Settings, found: Found, tmp_path: Path
) -> None:
    url = settings.redis_url.replace("redis://", "rediss://")
    finding = found(replace(settings, redis_url=f"{url}?ca={tmp_path}/none.crt"))["redis"]
    assert (finding.verdict, "does not answer" in finding.text) == ("fail", False)
    assert "ca=FILE" in finding.mend


@pytest.mark.usefixtures("assistant")
def test_the_command_ends_with_0_when_well_and_prints_remedies_when_not(
    settings: Settings, redis_server: RedisServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_HOME", settings.home)
    assert os.environ["CLOUD_ASSISTANT_HOME"]
    assert main(["doctor", "--redis-url", settings.redis_url]) == 0
    redis = Redis(redis_server.url())
    redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    redis.close()
    assert main(["doctor", "--redis-url", settings.redis_url]) == 4
    text = capsys.readouterr().out
    assert "fail  eviction" in text
    assert "mend: CONFIG SET maxmemory-policy noeviction" in text
