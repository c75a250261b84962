"""Promise 7, Celery's own ways in: with full access to Redis and no key, nothing runs and nothing is changed.

Everything here is pushed or published by the server's administrator to a running agent that has credentials.
"""

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.messages import RUN_COMMAND_TASK
from cloud_assistant.broker_config.task_message import fill, template
from cloud_assistant.producer import Targets
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import Agent

from .conftest import SecureSystem

pytestmark = pytest.mark.slow

ID = "t-attack00000000000000000000.0@i-one"


class _Touch:
    """What a pickle runs when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def message(
    body: bytes, *, content_type: str = "application/json", task: str = RUN_COMMAND_TASK, encoding: str = "base64"
) -> str:
    """A message of the queue as kombu writes it, with any body, type and task."""
    made = json.loads(fill(template("", "attacker"), ID))
    made["body"] = base64.b64encode(body).decode()
    made["content-type"] = content_type
    made["content-encoding"] = "binary" if content_type != "application/json" else "utf-8"
    made["properties"]["body_encoding"] = encoding
    made["headers"]["task"] = task
    return json.dumps(made)


def arguments(*given: object, **named: object) -> bytes:
    return json.dumps(
        [list(given), named, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    ).encode()


def queue_attacks(ran: Path) -> dict[str, str]:
    """Messages that would run something in a worker that trusts its broker."""
    yaml = f"!!python/object/apply:os.system ['touch {ran}']".encode()
    signature = {"task": RUN_COMMAND_TASK, "args": [ID, ""], "kwargs": {}, "options": {}}
    attacks = {
        "pickle": message(pickle.dumps(_Touch(ran)), content_type="application/x-python-serialize"),
        "pickle that says it is JSON": message(pickle.dumps(_Touch(ran))),
        "yaml": message(yaml, content_type="application/x-yaml"),
        "yaml that says it is JSON": message(yaml),
        "msgpack": message(b"\x93\x90\x80\xc0", content_type="application/x-msgpack"),
        "no type at all": message(arguments(ID, ""), content_type=""),
        "unknown task": message(arguments(f"touch {ran}"), task="os.system"),
        "a module as a task": message(arguments(f"touch {ran}"), task="cloud_assistant.worker.queue.tasks.os.system"),
        "a script as an argument": message(arguments(ID, "", f"touch {ran}")),
        "a script as a named argument": message(arguments(ID, "", content=f"touch {ran}")),
        "another instance's execution": message(arguments("t-x.0@i-two", "")),
        "a path as an execution": message(arguments("../../../../tmp/x.0@i-one", "")),
        "no JSON": "\x00\x01 nothing",
        "no body": json.dumps({"headers": {"task": RUN_COMMAND_TASK}}),
        "callbacks": json.dumps(
            {
                **json.loads(message(b"")),
                "body": base64.b64encode(
                    json.dumps([[ID, ""], {}, {"callbacks": [signature], "errbacks": [signature]}]).encode()
                ).decode(),
            }
        ),
    }
    for name in (
        "chunks",
        "map",
        "starmap",
        "chain",
        "group",
        "chord",
        "chord_unlock",
        "accumulate",
        "backend_cleanup",
    ):
        attacks[f"celery.{name}"] = message(arguments(signature, [[ID, ""]]), task=f"celery.{name}")
    return attacks


#: Celery's remote control: what it can tell a worker to do.
CONTROL: dict[str, dict[str, object]] = {
    "shutdown": {},
    "pool_restart": {"modules": ["os"], "reload": True},
    "pool_grow": {"n": 100},
    "pool_shrink": {"n": 100},
    "autoscale": {"max": 100, "min": 100},
    "add_consumer": {"queue": "evil", "exchange": "evil", "routing_key": "evil"},
    "cancel_consumer": {"queue": keys.queue("i-one")},
    "rate_limit": {"task_name": RUN_COMMAND_TASK, "rate_limit": "1/h"},
    "time_limit": {"task_name": RUN_COMMAND_TASK, "hard": 1, "soft": 1},
    "revoke": {"task_id": ID, "terminate": True, "signal": "KILL"},
    "terminate": {"task_id": ID, "signal": "KILL"},
    "enable_events": {},
    "disable_events": {},
    "conf": {"with_defaults": True},
    "dump_conf": {},
    "stats": {},
}


def control_messages(method: str, given: dict[str, object]) -> list[str]:
    """The command in every form in which a worker may hear it: to all, to this one, and as a pickle."""
    told = {"method": method, "arguments": given, "destination": None, "pattern": None, "matcher": None}
    plain = json.dumps(told).encode()
    made = []
    for body, kind in ((plain, "application/json"), (pickle.dumps(told), "application/x-python-serialize")):
        written = json.loads(message(body, content_type=kind))
        written["headers"] = {"clock": 1, "expires": None}
        made.append(json.dumps(written))
    return made


class Attacked(SecureSystem):
    """A server and one agent; whatever is tried leaves them as they were, or the test of it fails."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        super().__init__(folder, server.url())
        self.server = server
        self.credentials = self.add_instance("i-one")

    def agent(self) -> Agent:
        """The agent; a new one where an attack has ended the last."""
        found = self.agents.get("i-one")
        return found if found and found.is_running else self.start_agent("i-one", credentials=self.credentials)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("attacked")
    with RedisServer(folder / "redis", keeps_users=True) as server:
        attacked = Attacked(folder / "system", server)
        try:
            yield attacked
        finally:
            attacked.stop()


def still_works(secure: SecureSystem) -> None:
    with secure.operator() as operator:
        asked = operator.run_command("echo fine", Targets(instance_ids=["i-one"]))
        (row,) = operator.wait(asked.invoke_id, timeout_seconds=30).results
    assert row.outcome is not None
    assert (row.state, row.outcome.output.data) == ("Success", b"fine\n")


def test_no_message_of_the_queue_runs_anything_but_what_was_signed(attacked: Attacked, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    agent = attacked.agent()
    still_works(attacked)
    with attacked.server.client() as client:
        for attack in queue_attacks(ran).values():
            client.lpush(keys.queue("i-one"), attack)
        eventually(lambda: client.llen(keys.queue("i-one")) == 0, 20, "the agent has taken them all")
    still_works(attacked)
    assert agent.is_running
    assert not ran.exists()
    eventually(lambda: not list((agent.home / "spool").iterdir()), 10, "nothing is kept of what was refused")


@pytest.mark.parametrize("name", queue_attacks(Path("/nowhere")))
def test_the_agent_lives_through_a_message_that_is(attacked: Attacked, tmp_path: Path, name: str) -> None:
    """One by one, so that none hides behind another that ended or deafened the consumer."""
    ran = tmp_path / "ran"
    agent = attacked.agent()
    with attacked.server.client() as client:
        client.lpush(keys.queue("i-one"), queue_attacks(ran)[name])
        eventually(lambda: client.llen(keys.queue("i-one")) == 0, 20, "the agent has taken it")
    still_works(attacked)
    assert (agent.is_running, ran.exists()) == (True, False)


def test_no_remote_control_reaches_an_agent(attacked: Attacked) -> None:
    agent = attacked.agent()
    still_works(attacked)
    threads = agent.thread_count
    said_before = len(agent.log())
    with attacked.server.client() as client:
        for method, given in CONTROL.items():
            for text in control_messages(method, given):
                for channel in ("/0.celery.pidbox", "celery.pidbox", "/0.i-one.celery.pidbox", "i-one.celery.pidbox"):
                    client.publish(channel, text)
                client.lpush("i-one.celery.pidbox", text)
                # A worker that reads control messages from its queue is not known; it costs nothing to see.
                client.lpush(keys.queue("i-one"), text)
        eventually(lambda: client.llen(keys.queue("i-one")) == 0, 20, "the agent has taken what was in its queue")
        listening = [name for name in client.pubsub_channels() if "pidbox" in str(name)]
        assert listening == []
        assert client.llen("evil") == 0
        client.lpush("evil", message(arguments(ID, "")))
        still_works(attacked)
        assert client.llen("evil") == 1
    assert agent.is_running
    assert agent.thread_count <= threads + 2
    assert "celery.pidbox" not in agent.log()[said_before:]


@pytest.mark.parametrize(
    "text", [b'{"stop":', b'{"v":1,"stop":"t-x.0@i-two"}', pickle.dumps({"stop": "x"}), b"\xff" * 99]
)
def test_an_agent_lives_through_any_control_message_of_ours(attacked: Attacked, text: bytes) -> None:
    agent = attacked.agent()
    said_before = len(agent.log())
    with attacked.server.client() as client:
        client.rpush(keys.control("i-one"), text)
        eventually(lambda: client.llen(keys.control("i-one")) == 0, 20, "the agent has taken it")
    still_works(attacked)
    assert "Traceback" not in agent.log()[said_before:]


def test_a_beat_takes_no_remote_control_and_signs_nothing_that_was_put_into_redis(
    secure: SecureSystem, redis_server: RedisServer, tmp_path: Path
) -> None:
    secure.start_instance("i-one")
    beat = secure.start_beat(
        environment={
            "CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": str(secure.folder / "operator" / "master-key.json"),
        }
    )
    made = (
        secure.assist("run", "true", "--instance", "i-one", "--frequency", "0 0 3 1 1 ?").must_succeed().stdout.strip()
    )
    with redis_server.client() as client:
        for text in control_messages("shutdown", {}):
            client.publish("/0.celery.pidbox", text)
        # Another script under the same schedule, due now.
        token = client.hget(keys.timed(made), "token")
        order = json.loads(str(client.get(keys.payload(str(token)))))
        order["content"] = base64.b64encode(f"touch {tmp_path}/ran".encode()).decode()
        client.set(keys.payload(str(token)), json.dumps(order))
        now = int(client.time()[0]) * 1000
        client.hset(keys.timed(made), mapping={"due_ms": str(now), "next_ms": "0"})
        client.zadd(keys.TIMED_DUE, {made: now})
        client.publish(keys.TIMED_CHANGED_CHANNEL, made)

        def refused() -> bool:
            shown = secure.assist("invocation", "results", made, "--output", "json").stdout
            return "SignatureInvalid" in shown

        eventually(refused, 20, "the agent has refused it")
    assert beat.is_running
    assert not (tmp_path / "ran").exists()
