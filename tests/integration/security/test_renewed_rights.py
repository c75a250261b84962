"""Rights of an earlier release are renewed where they are: no password changes, and nobody who works is disturbed."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, RecordUnreadable, RedisRefused, Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.master_key import master_key_path
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet.instances import load
from cloud_assistant.producer.security.agent_rights import agent_user
from cloud_assistant.producer.security.audit_reading import newest_first
from cloud_assistant.producer.security.credentials import Credentials
from cloud_assistant.producer.security.identities import load_credentials
from cloud_assistant.producer.security.program_rights import ControlProgram, program_rules, program_user
from cloud_assistant.producer.security.rights_renewal import renew_agents
from harness.old_rights import FLOWER_OF_THE_FIRST_RELEASE, agent_rules_of_the_first_release
from harness.redis_server import RedisServer

Connect = Callable[[str], Redis]
USER = agent_user("i-old")


@pytest.fixture
def old(assistant: Assistant, redis: Redis) -> Credentials:
    """The credentials of an instance whose user was made by the first release."""
    assistant.add_instance("i-old")
    credentials = assistant.trust.issue_credentials("i-old").credentials
    redis.call("ACL", "SETUSER", USER, "clearselectors", *agent_rules_of_the_first_release("i-old"))
    redis.call("ACL", "SAVE")
    return credentials


def user_of(redis: Redis, name: str = USER) -> dict[str, Any]:
    reply = redis.call("ACL", "GETUSER", name)
    return {field.decode(): value for field, value in zip(reply[::2], reply[1::2], strict=True)}


def what_a_new_one_gets(assistant: Assistant) -> str:
    """The rights of an instance that is registered now, as if it were the old one."""
    assistant.add_instance("i-new")
    assistant.trust.issue_credentials("i-new")
    found = user_of(assistant.redis, agent_user("i-new"))
    return repr(rights_in(found)).replace("i-new", "i-old")


def rights_in(user: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in user.items() if name not in ("flags", "passwords")}


@pytest.mark.parametrize(
    "given",
    [(), ("+@all", "~*", "&*"), ("(+@all ~*)",), ("-fcall", "resetkeys"), ("reset", "on")],
    ids=["the first release's", "everything", "a selector more", "fewer", "none"],
)
def test_renewed_rights_are_those_of_a_new_registration_whatever_they_were(
    assistant: Assistant, redis: Redis, old: Credentials, connect: Connect, given: tuple[str, ...]
) -> None:
    passwords = user_of(redis)["passwords"]
    redis.call("ACL", "SETUSER", USER, *given, f"#{passwords[0].decode()}")
    renewed = assistant.trust.renew_rights(["i-old"])
    assert (renewed.changed, renewed.unchanged, renewed.left, renewed.is_saved) == (["i-old"], [], {}, True)
    now = user_of(redis)
    assert (now["passwords"], b"on" in now["flags"]) == (passwords, True)
    assert repr(rights_in(now)) == what_a_new_one_gets(assistant)
    assert connect(old.redis_url).call("PING") == b"PONG"


def test_a_second_renewal_changes_nothing_and_all_means_each_that_has_credentials(
    assistant: Assistant, redis: Redis, old: Credentials
) -> None:
    assistant.add_instance("i-bare")
    assistant.add_instance("i-new")
    assistant.trust.issue_credentials("i-new")
    first = assistant.trust.renew_rights()
    assert (first.changed, first.unchanged, first.left) == (["i-old"], ["i-new"], {})
    users = redis.call("ACL", "LIST")
    again = assistant.trust.renew_rights()
    assert (again.changed, set(again.unchanged)) == ([], {"i-old", "i-new"})
    assert redis.call("ACL", "LIST") == users


def test_they_survive_a_restart_of_the_server(
    assistant: Assistant, redis: Redis, old: Credentials, redis_server: RedisServer
) -> None:
    assistant.trust.renew_rights(["i-old"])
    redis_server.restart()
    assert assistant.trust.renew_rights(["i-old"]).unchanged == ["i-old"]


@pytest.mark.usefixtures("old")
def test_without_an_acl_file_it_says_that_the_server_will_forget_them(assistant: Assistant, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "other") as server, Assistant(server.url(), settings=assistant.settings) as other:
        other.add_instance("i-old")
        other.trust.issue_credentials("i-old")
        assert not other.trust.renew_rights().is_saved


@pytest.mark.parametrize(
    "given",
    [("resetpass",), ("resetpass", ">another"), ("nopass",)],
    ids=["no password", "another password", "any password"],
)
def test_a_user_that_has_not_the_password_it_was_issued_is_left_as_it_is(
    assistant: Assistant, redis: Redis, old: Credentials, given: tuple[str, ...]
) -> None:
    redis.call("ACL", "SETUSER", USER, *given)
    before = user_of(redis)
    renewed = assistant.trust.renew_rights()
    assert renewed.left == {"i-old": "its user has another password than it was given, or none"}
    assert user_of(redis) == before


def test_no_user_comes_into_being(assistant: Assistant, redis: Redis, old: Credentials) -> None:
    redis.call("ACL", "DELUSER", USER)
    assistant.add_instance("i-bare")
    renewed = assistant.trust.renew_rights(["i-old", "i-bare"])
    assert list(renewed.left) == ["i-bare", "i-old"]
    assert [redis.call("ACL", "GETUSER", agent_user(one)) for one in ("i-old", "i-bare")] == [None, None]


def test_who_is_switched_off_or_in_quarantine_stays_so(assistant: Assistant, redis: Redis, old: Credentials) -> None:
    redis.call("ACL", "SETUSER", USER, "off")
    assistant.trust.quarantine("i-old", "found twice")
    assert assistant.trust.renew_rights().changed == ["i-old"]
    assert b"off" in user_of(redis)["flags"]
    assert load(redis, "i-old").quarantined == "found twice"


def during(monkeypatch: pytest.MonkeyPatch, redis: Redis, act: Callable[[], object]) -> None:
    """Have something happen after a renewal has looked at the users, and before it sets them."""
    pipeline = redis.pipeline

    def acted(commands: Any, **options: Any) -> Any:
        if any(command[1] == "SETUSER" for command in commands):
            monkeypatch.undo()
            act()
        return pipeline(commands, **options)

    monkeypatch.setattr(redis, "pipeline", acted)


def test_credentials_that_are_replaced_at_the_same_moment_stay_retired(
    assistant: Assistant, redis: Redis, old: Credentials, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued: list[Credentials] = []
    during(monkeypatch, redis, lambda: issued.append(assistant.trust.issue_credentials("i-old").credentials))
    renewed = renew_agents(redis, load_credentials(redis))
    assert list(renewed.left) == ["i-old"]
    with pytest.raises(RedisRefused, match="WRONGPASS"):
        connect(old.redis_url).call("PING")
    assert connect(issued[0].redis_url).call("PING") == b"PONG"


def test_an_instance_that_is_removed_at_the_same_moment_gets_no_user_again(
    assistant: Assistant, redis: Redis, old: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    during(monkeypatch, redis, lambda: assistant.remove_instance("i-old"))
    renewed = renew_agents(redis, load_credentials(redis))
    assert list(renewed.left) == ["i-old"]
    assert redis.call("ACL", "GETUSER", USER) is None


def test_whoever_works_meanwhile_is_refused_nothing(
    assistant: Assistant, redis: Redis, old: Credentials, connect: Connect
) -> None:
    agent = connect(old.redis_url)
    refused: list[RedisRefused] = []
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                agent.pipeline_or_raise([("HSET", keys.info("i-old"), "x", 1), ("LLEN", keys.queue("i-old"))] * 20)
            except RedisRefused as exc:
                refused.append(exc)
            begun.set()

    worker = threading.Thread(target=work)
    worker.start()
    begun.wait(10)
    connections = redis.call("CLIENT", "LIST")
    for _ in range(100):
        redis.call("ACL", "SETUSER", USER, "clearselectors", *agent_rules_of_the_first_release("i-old"))
        assert assistant.trust.renew_rights(["i-old"]).changed == ["i-old"]
    over.set()
    worker.join()
    assert refused == []
    same = [line.split()[0] for line in connections.splitlines() if f"user={USER}".encode() in line]
    assert same == [line.split()[0] for line in redis.call("CLIENT", "LIST").splitlines() if USER.encode() in line]


def test_a_record_of_credentials_that_cannot_be_read_is_named_with_what_mends_it(
    assistant: Assistant, redis: Redis, old: Credentials
) -> None:
    redis.call("HSET", keys.CREDENTIALS, "i-old", "{")
    with pytest.raises(RecordUnreadable, match="assist instance rotate i-old --credentials FILE"):
        assistant.trust.renew_rights()
    assistant.trust.issue_credentials("i-old")
    assert assistant.trust.renew_rights().unchanged == ["i-old"]


def test_it_is_in_the_audit_and_an_unknown_instance_has_nothing_changed(
    assistant: Assistant, redis: Redis, old: Credentials
) -> None:
    before = user_of(redis)
    with pytest.raises(NotFound):
        assistant.trust.renew_rights(["i-old", "i-none"])
    assert user_of(redis) == before
    assistant.trust.renew_rights(["i-old"])
    entries = [one.entry for one in newest_first(redis) if one.entry.action == "RenewRights"]
    assert [(one.outcome, one.what) for one in entries[:2]] == [("done", "i-old"), ("begun", "i-old")]
    assert (entries[0].facts["ChangedCount"], entries[0].facts["Instances"]) == ("1", "i-old")
    assert entries[2].outcome == "refused"


def test_it_takes_the_master_key_and_a_redis_user_that_manages_users(
    assistant: Assistant, redis: Redis, old: Credentials, redis_server: RedisServer
) -> None:
    for program in (ControlProgram.GATEWAY, ControlProgram.PRODUCER):
        redis.call("ACL", "SETUSER", program_user(program), "on", ">pw", *program_rules(program, database=0))
    with (
        Assistant(redis_server.url("ca-producer", "pw"), settings=assistant.settings) as producer,
        pytest.raises(RedisRefused, match="ca-producer may not manage users"),
    ):
        producer.trust.renew_rights()
    with Assistant(redis_server.url("ca-gateway", "pw"), settings=assistant.settings) as gateway:
        assert gateway.trust.renew_rights().changed == ["i-old"]
        master_key_path(assistant.settings).unlink()
    with Assistant(settings=assistant.settings) as elsewhere, pytest.raises(Refused, match="copy that file here"):
        elsewhere.trust.renew_rights()


def test_the_rights_of_our_own_programs_are_renewed_with_their_passwords(
    assistant: Assistant, redis: Redis, connect: Connect, redis_server: RedisServer
) -> None:
    flower, beat = program_user(ControlProgram.FLOWER), program_user(ControlProgram.BEAT)
    redis.call("ACL", "SETUSER", flower, "on", ">pw", *FLOWER_OF_THE_FIRST_RELEASE)
    redis.call("ACL", "SETUSER", beat, "on", ">pw", *program_rules(ControlProgram.BEAT, database=0))
    renewed = assistant.trust.renew_program_rights()
    assert (renewed.changed, renewed.unchanged, renewed.left) == (["flower"], ["beat"], {})
    named = assistant.trust.renew_program_rights([ControlProgram.GATEWAY])
    assert list(named.left) == ["gateway"]
    assert connect(redis_server.url(flower, "pw")).call("HSTRLEN", keys.info("i-1"), "x") == 0
    assert redis.call("ACL", "GETUSER", program_user(ControlProgram.GATEWAY)) is None
