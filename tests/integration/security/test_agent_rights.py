"""Promise 6: a stolen instance stays alone. What an agent's Redis user may do, and that it may do nothing else."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.messaging import Consumer

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.dispatch import Dispatcher
from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.functions.boot_firings import fire_boot
from cloud_assistant.broker_config.functions.executions import (
    Claimed,
    LivePiece,
    Moved,
    append_output,
    claim_command,
    claim_reply,
    finish,
)
from cloud_assistant.broker_config.functions.function_library import FOR_AGENTS, TEXT_VERSION, fcall, run
from cloud_assistant.broker_config.functions.instances import heartbeat
from cloud_assistant.broker_config.ids import execution_id, new_id, new_token
from cloud_assistant.broker_config.messages import WorkOrder, encode
from cloud_assistant.broker_config.records import Command, Invocation, RepeatMode, Schedule, ScriptType
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.url import parse_url
from cloud_assistant.broker_config.security.signing import digest, new_master_keys
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.broker_config.timed.boot_bound import bind
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.security.agent_rights import agent_rules, agent_user
from cloud_assistant.worker.queue.line import QueueLine
from cloud_assistant.worker.queue.transport import QueueTransport
from harness.redis_server import RedisServer

MASTER = new_master_keys()


@dataclass
class Stage:
    """Two instances with work, and the connection of the first one's agent."""

    admin: Redis
    agent: Redis
    executions: dict[str, str]
    invocation: Invocation

    def row(self, instance_id: str) -> str:
        return keys.execution(instance_id, self.executions[instance_id])


@pytest.fixture
def stage(assistant: Assistant, redis: Redis, connect: Callable[[str], Redis]) -> Stage:
    for instance_id in ("i-a", "i-b"):
        assistant.add_instance(instance_id)
    credentials = assistant.trust.issue_credentials("i-a").credentials
    invocation, order = make()
    Dispatcher(redis, MASTER, queue_count=100).create(invocation, order, ["i-a", "i-b"])
    executions = {one: execution_id(invocation.invoke_id, 0, one) for one in ("i-a", "i-b")}
    return Stage(redis, connect(credentials.redis_url), executions, invocation)


def make(repeat: RepeatMode = RepeatMode.ONCE) -> tuple[Invocation, WorkOrder]:
    command = Command(
        command_id=new_id("c"), name="t", type=ScriptType.SHELL, content=b"true", created_ms=now_ms(), kept=False
    )
    invocation = Invocation(
        invoke_id=new_id("t"),
        command=command,
        created_ms=now_ms(),
        target_count=2,
        done_channel=keys.done_channel(new_token()),
        payload_token=new_token(),
        schedule=Schedule(repeat_mode=repeat),
    )
    return invocation, WorkOrder(
        command_id=command.command_id, type="RunShellScript", content=b"true", timeout_seconds=9
    )


def everything_an_agent_does(stage: Stage, agent: Redis) -> None:
    """One of each: what an agent asks of Redis in its life."""
    mine, execution = "i-a", stage.executions["i-a"]
    _through_kombu(agent)
    heartbeat(agent, mine, "e1", {"hostname": "x"}, ttl_ms=60_000, take_over=False)
    agent.call("ZRANGE", keys.open_executions(mine), 0, -1)
    agent.call("LPUSH", keys.queue(mine), "hint")
    agent.call("BLPOP", keys.control(mine), "0.001")
    agent.call("GET", keys.payload(stage.invocation.payload_token))
    reply = run(agent, claim_command(mine, execution, epoch="e1", boot_id="b1", report_margin_ms=1000))
    assert isinstance(claim_reply(reply), Claimed)
    piece = LivePiece(offset_bytes=0, skipped_bytes=0, streams="1:1", data=b"x", keep_count=9, ttl_ms=1000)
    append_output(agent, mine, execution, piece)
    done = finish(
        agent, mine, execution, ExecutionState.SUCCESS, {"exit_code": 0}, live_output_ttl_ms=1000, retention_ms=1000
    )
    assert isinstance(done, Moved)
    agent.call("PING")
    agent.call("HSETNX", keys.quarantine(mine), "reason", "seen twice")
    agent.call("XADD", keys.refusals(mine), "*", "code", "SignatureInvalid")
    agent.call("PUBLISH", f"/{agent.address.db}.celeryev/task.multi", "{}")
    bound, order = make(RepeatMode.NEXT_REBOOT_ONLY)
    bind(stage.admin, bound, digest(encode(order)), [mine], MASTER, created_ms=now_ms() - 60_000)
    assert fire_boot(agent, mine, boot_id="b2", uptime_ms=1, epoch="e1", report_margin_ms=1000)


def _through_kombu(agent: Redis) -> None:
    """What the agent's consumer does: connect, wait for a message, take it."""
    line = QueueLine(parse_url(agent.url), name="agent:i-a:queue")
    name = keys.queue("i-a")
    queue = Queue(name, Exchange(""), routing_key=name, no_declare=True)  # type: ignore[no-untyped-call]
    taken: list[object] = []
    with (
        Connection("queue", transport=QueueTransport, transport_options={"line": line}) as connection,  # type: ignore[no-untyped-call]
        Consumer(connection.channel(), queue, on_message=taken.append, no_ack=True),  # type: ignore[no-untyped-call]
    ):
        connection.drain_events(timeout=5)
    assert len(taken) == 1


def test_an_agent_can_do_all_that_it_has_to(stage: Stage) -> None:
    everything_an_agent_does(stage, stage.agent)


def granted() -> Iterator[tuple[str, str]]:
    """Every rule that grants something, and within a selector every word that does."""
    for rule in agent_rules("i-a", database=0):
        if rule.startswith(("+", "~", "%", "&")):
            yield rule, ""
        if rule.startswith("("):
            for word in rule.strip("()").split():
                if word.startswith(("+", "~", "%", "&")):
                    yield rule, word


#: Needed where the database is not 0, which the other rules' stage does not have.
ELSEWHERE = {("+select", "")}


def without(rule: str, word: str) -> Iterator[str]:
    """All rules but that one; of a selector, all of it but that word."""
    for one in agent_rules("i-a", database=0):
        if one != rule:
            yield one
        elif word:
            yield "(" + " ".join(part for part in rule.strip("()").split() if part != word) + ")"


@pytest.mark.parametrize(("rule", "word"), sorted(set(granted()) - ELSEWHERE))
def test_no_right_could_be_left_out(stage: Stage, redis: Redis, rule: str, word: str) -> None:
    redis.call("ACL", "SETUSER", agent_user("i-a"), "clearselectors", *without(rule, word))
    stage.agent.close()
    redis.call("ACL", "LOG", "RESET")
    with contextlib.suppress(RedisRefused, OperationalError):
        everything_an_agent_does(stage, stage.agent)
    # The server's own log tells, since a client that is refused a greeting may go on without a word.
    assert [entry for entry in acl_log(redis) if entry != "client|setinfo"]


def acl_log(redis: Redis) -> list[str]:
    entries = redis.call("ACL", "LOG")
    return [dict(zip(one[::2], one[1::2], strict=True))[b"object"].decode() for one in entries]


def test_another_database_can_be_selected(
    redis_server: RedisServer, redis: Redis, connect: Callable[[str], Redis]
) -> None:
    redis.call("ACL", "SETUSER", "agent", "on", ">pw", *agent_rules("i-a", database=3))
    connect(redis_server.url("agent", "pw", database=3)).call("PUBLISH", "/3.celeryev/worker.heartbeat", "{}")
    with pytest.raises(RedisRefused, match="NOPERM"):
        connect(redis_server.url("agent", "pw", database=3)).call("PUBLISH", "/0.celeryev/worker.heartbeat", "{}")


Attack = tuple[Any, ...]


def attacks() -> dict[str, Callable[[Stage], Attack]]:
    """What whoever took over instance A tries; each is one command with A's credentials."""
    queue, control = keys.queue("i-b"), keys.control("i-b")
    return {
        "read B's queue": lambda _: ("LRANGE", queue, 0, -1),
        "take from B's queue": lambda _: ("BRPOP", queue, "0.01"),
        "count B's queue": lambda _: ("LLEN", queue),
        "read B's script and result": lambda s: ("HGETALL", s.row("i-b")),
        "read B's result by a field": lambda s: ("HMGET", s.row("i-b"), "output"),
        "read B's live output": lambda s: ("XRANGE", keys.live_output("i-b", s.executions["i-b"]), "-", "+"),
        "read B's heartbeat": lambda _: ("HGETALL", keys.info("i-b")),
        "read B's profile": lambda _: ("HMGET", keys.profile("i-b"), "name"),
        "read B's keys": lambda _: ("GET", keys.key_bundle("i-b")),
        "write B's result": lambda s: ("HSET", s.row("i-b"), "state", "Success"),
        "write B's heartbeat": lambda _: ("HSET", keys.info("i-b"), "hostname", "a"),
        "quarantine B": lambda _: ("HSETNX", keys.quarantine("i-b"), "reason", "x"),
        "push a task to B": lambda _: ("LPUSH", queue, "x"),
        "stop B's scripts": lambda _: ("RPUSH", control, "x"),
        "list keys": lambda _: ("KEYS", "*"),
        "scan": lambda _: ("SCAN", 0),
        "take a random key": lambda _: ("RANDOMKEY",),
        "count keys": lambda _: ("DBSIZE",),
        "list channels": lambda _: ("PUBSUB", "CHANNELS"),
        "list clients": lambda _: ("CLIENT", "LIST"),
        "cut others off": lambda _: ("CLIENT", "KILL", "TYPE", "normal"),
        "watch everything": lambda _: ("MONITOR",),
        "read the configuration": lambda _: ("CONFIG", "GET", "*"),
        "write the configuration": lambda _: ("CONFIG", "SET", "dir", "/tmp"),
        "learn of the server": lambda _: ("INFO",),
        "list users": lambda _: ("ACL", "LIST"),
        "make a user": lambda _: ("ACL", "SETUSER", "evil", "on", "nopass", "+@all", "~*"),
        "replace the functions": lambda _: ("FUNCTION", "LOAD", "REPLACE", "#!lua name=cloud_assistant_1\n"),
        "list the functions": lambda _: ("FUNCTION", "LIST"),
        "remove the functions": lambda _: ("FUNCTION", "FLUSH"),
        "run Lua": lambda _: ("EVAL", "return 1", 0),
        "remove scripts": lambda _: ("SCRIPT", "FLUSH"),
        "remove everything": lambda _: ("FLUSHALL",),
        "end the server": lambda _: ("SHUTDOWN", "NOSAVE"),
        "become a replica": lambda _: ("REPLICAOF", "127.0.0.1", 1),
        "block the server": lambda _: ("DEBUG", "SLEEP", 10),
        "hear who is done": lambda s: ("SUBSCRIBE", s.invocation.done_channel),
        "hear everything": lambda _: ("PSUBSCRIBE", "*"),
        "hear Flower's events": lambda _: ("SUBSCRIBE", "/0.celeryev/task.multi"),
        "publish control": lambda _: ("PUBLISH", "/0.celery.pidbox", "{}"),
        "publish to the scheduler": lambda _: ("PUBLISH", keys.TIMED_CHANGED_CHANNEL, "x"),
        "write a work order": lambda s: ("SET", keys.payload(s.invocation.payload_token), "x"),
        "remove a work order": lambda s: ("DEL", keys.payload(s.invocation.payload_token)),
        "read a stored command": lambda s: ("HGETALL", keys.command(s.invocation.command.command_id)),
        "read an invocation": lambda s: ("HGETALL", keys.invocation(s.invocation.invoke_id)),
        "list the targets": lambda s: ("LRANGE", keys.invocation_targets(s.invocation.invoke_id), 0, -1),
        "list instances": lambda _: ("ZRANGE", keys.INSTANCES, 0, -1),
        "register an instance": lambda _: ("ZADD", keys.INSTANCES, 1, "i-evil"),
        "read the audit": lambda _: ("XRANGE", keys.AUDIT, "-", "+"),
        "write the audit": lambda _: ("XADD", keys.AUDIT, "*", "who", "x"),
        "read credentials": lambda _: ("HGETALL", keys.CREDENTIALS),
        "change which key is used": lambda _: ("HSET", keys.KEY_IDS, "i-b", "k0"),
        "change its own tags": lambda _: ("HSET", keys.profile("i-a"), "tags", '{"env":"prod"}'),
        "change its own keys": lambda _: ("SET", keys.key_bundle("i-a"), "x"),
        "leave quarantine": lambda _: ("DEL", keys.quarantine("i-a")),
        "empty quarantine": lambda _: ("HDEL", keys.quarantine("i-a"), "reason"),
        "overwrite quarantine": lambda _: ("HSET", keys.quarantine("i-a"), "reason", ""),
        "let quarantine expire": lambda _: ("PEXPIRE", keys.quarantine("i-a"), 1),
        "tag itself": lambda _: ("SADD", keys.tag("instance", "env", "prod"), "i-a"),
        "move a key": lambda s: ("RENAME", s.row("i-a"), s.row("i-b")),
        "copy a key": lambda s: ("COPY", s.row("i-b"), s.row("i-a")),
        "sort by another's keys": lambda s: ("SORT", keys.queue("i-a"), "BY", "nosort", "GET", s.row("i-b")),
        "claim B's execution": lambda s: tuple(
            claim_command("i-b", s.executions["i-b"], epoch="e", boot_id="b", report_margin_ms=1)
        ),
        "finish B's execution": lambda s: tuple(
            fcall(
                "ca_finish",
                [
                    s.row("i-b"),
                    keys.open_executions("i-b"),
                    keys.live_output("i-b", s.executions["i-b"]),
                    keys.instance_history("i-b"),
                ],
                [s.executions["i-b"], "Success", ",Running,", 1, 1],
            )
        ),
        "read B's states by a function": lambda s: tuple(fcall("ca_execution_states", [s.row("i-b")], [])),
        # Of another kind, they would fail what the control side does for all instances at once.
        "put a list where its open executions are": lambda _: ("LPUSH", keys.open_executions("i-a"), "x"),
        "put a list where its history is": lambda _: ("LPUSH", keys.instance_history("i-a"), "x"),
        "put a list where its heartbeat is": lambda _: ("LPUSH", keys.info("i-a"), "x"),
        "put a set where its queue is": lambda _: ("ZADD", keys.queue("i-a"), 1, "x"),
        "put a hash where its control messages are": lambda _: ("HSET", keys.control("i-a"), "a", "x"),
        "put a stream where a row is": lambda _: ("XADD", keys.execution("i-a", "t-new.0@i-a"), "*", "a", "x"),
        "put a hash where its history is, by a function": lambda s: tuple(
            fcall(
                "ca_finish",
                [keys.instance_history("i-a"), keys.open_executions("i-a"), keys.info("i-a"), keys.queue("i-a")],
                [s.executions["i-a"], "Success", ",Pending,", 1, 1],
            )
        ),
        "dispatch to itself": lambda s: tuple(
            fcall("ca_create_executions", [keys.invocation(s.invocation.invoke_id), keys.DEADLINES], [""] * 13)
        ),
    }


ATTACKS = attacks()


#: Since Redis 7.2, and as 7.0 says it.
REFUSED_INSIDE_A_FUNCTION = ("ACL failure in script: No permissions", "can't access at least one of the keys")


@pytest.mark.parametrize("name", ATTACKS)
def test_with_the_credentials_of_one_instance_nobody_can(name: str, stage: Stage) -> None:
    stage.agent.call("HSETNX", keys.quarantine("i-a"), "reason", "stolen")
    before = _everything(stage.admin)
    with pytest.raises(RedisRefused) as refused:
        stage.agent.call(*ATTACKS[name](stage))
    inside_a_function = any(one in str(refused.value) for one in REFUSED_INSIDE_A_FUNCTION)
    assert refused.value.kind == "NOPERM" or inside_a_function or "DEBUG command not allowed" in str(refused.value)
    assert _everything(stage.admin) == before


def test_a_function_that_no_agent_needs_is_closed_to_agents(stage: Stage) -> None:
    for name in functions_in(stage.admin) - set(FOR_AGENTS):
        with pytest.raises(RedisRefused, match="control side only") as refused:
            stage.agent.call(*fcall(name, [], []))
        assert refused.value.kind == "NOPERM"


def functions_in(redis: Redis) -> set[str]:
    """The functions in Redis that have a version behind their names, without it."""
    (library,) = redis.call("FUNCTION", "LIST")
    described = dict(zip(library[::2], library[1::2], strict=True))[b"functions"]
    names = (dict(zip(one[::2], one[1::2], strict=True))[b"name"].decode() for one in described)
    version = f"_{TEXT_VERSION}"
    return {name.removesuffix(version) for name in names if name.endswith(version)}


def test_a_call_that_matches_a_pattern_for_hours_does_nothing(stage: Stage, redis: Redis) -> None:
    mine = [stage.row("i-a"), keys.open_executions("i-a")]
    template, placeholder = "a" * 5_000, ".-" * 9 + "%d"
    with pytest.raises(RedisRefused, match="control side only"):
        stage.agent.call(*fcall("ca_create_executions", mine, [""] * 4 + ["1", *[""] * 5, template, placeholder, ""]))
    redis.call("PING")


def test_a_state_as_long_as_the_list_it_may_come_from_is_refused_at_once(stage: Stage, redis: Redis) -> None:
    row, long = stage.row("i-a"), "," * 5_000_000
    stage.agent.call("HSET", row, "state", long[::2] + "x")
    touched = [row, keys.open_executions("i-a"), keys.live_output("i-a", "x"), keys.instance_history("i-a")]
    # Far beyond the client's patience, if it took the time of both lengths multiplied.
    refused, _ = stage.agent.call(*fcall("ca_finish", touched, [stage.executions["i-a"], "Success", long, 1, 1]))
    assert refused == 0
    redis.call("PING")


def test_a_list_that_is_longer_than_all_states_is_not_searched(stage: Stage) -> None:
    touched = [
        stage.row("i-a"),
        keys.open_executions("i-a"),
        keys.live_output("i-a", "x"),
        keys.instance_history("i-a"),
    ]
    listed = ",Pending," + "x," * 1_000
    ended = stage.agent.call(*fcall("ca_finish", touched, [stage.executions["i-a"], "Success", listed, 1, 1]))
    assert ended == [0, b"Pending"]


@pytest.mark.parametrize("padding_bytes", [0, 3_000_000])
def test_an_order_for_a_start_that_takes_long_to_read_is_none(stage: Stage, padding_bytes: int) -> None:
    bound, order = make(RepeatMode.NEXT_REBOOT_ONLY)
    bind(stage.admin, bound, digest(encode(order)), ["i-a"], MASTER, created_ms=now_ms() - 60_000)
    entry = stage.agent.call("HMGET", keys.boot_bound("i-a"), bound.invoke_id)[0]
    padded = entry[:-1] + b',"x":"' + b"x" * padding_bytes + b'"}'
    stage.agent.call("HSET", keys.boot_bound("i-a"), bound.invoke_id, padded)
    fired = fire_boot(stage.agent, "i-a", boot_id="b", uptime_ms=1, epoch="e", report_margin_ms=1)
    assert len(fired) == (not padding_bytes)


def _everything(redis: Redis) -> dict[bytes, bytes]:
    return {name: redis.call("DUMP", name) for name in redis.call("KEYS", "*")}
