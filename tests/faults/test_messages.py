"""Messages come twice, in another order, damaged, or from somebody who makes them up."""

import random

import pytest
from faults.scene import Scene
from faults.scripts import FAILING, LONG, QUICK

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.task_message import fill, template
from harness.eventually import eventually
from harness.system import System

QUEUE = keys.queue("i-one")
WHOLE = fill(template("", "faults"), "t-00.0@i-one")


def test_messages_delivered_again_before_during_and_after_start_nothing_twice(
    quick_system: System, scene: Scene
) -> None:
    quick_system.start_agent()
    names = [scene.ask(script) for script in (QUICK, LONG, FAILING)]
    for name in names:
        scene.push_again(name, 20)
    scene.wait_for_start(names[1])
    scene.push_again(names[1], 20)
    for name in names:
        scene.wait(name)
        scene.push_again(name, 20)
    assert scene.wait(scene.ask(QUICK)).state == "Success"
    scene.settle()


def test_the_order_of_messages_does_not_matter(quick_system: System, scene: Scene) -> None:
    scene.register("i-one")
    names = [scene.ask(QUICK) for _ in range(12)]
    messages = scene.redis.call("LRANGE", QUEUE, 0, -1)
    random.Random(6).shuffle(messages)
    scene.redis.pipeline_or_raise([("DEL", QUEUE), ("RPUSH", QUEUE, *messages, *messages[:4])])
    quick_system.start_agent()
    for name in names:
        scene.wait(name)
    scene.settle()


def test_lost_messages_are_put_back(quick_system: System, scene: Scene) -> None:
    scene.register("i-one")
    names = [scene.ask(QUICK) for _ in range(6)]
    scene.redis.call("DEL", QUEUE)
    quick_system.start_agent()
    for name in names:
        assert scene.wait(name).state == "Success"
    scene.settle()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00\xff\xfe no message",
        b"{}",
        b"[1, 2]",
        b'{"body": "x", "headers": {}, "properties": {}, "content-type": "application/json"}',
        WHOLE.encode()[:-40],
        WHOLE.replace("cloud_assistant.run_command", "os.system").encode(),
        WHOLE.replace("application/json", "application/x-python-serialize").encode(),
        WHOLE.replace("t-00.0@i-one", "../../etc/passwd").encode(),
        WHOLE.encode(),
    ],
    ids=["empty", "noise", "object", "array", "no body", "cut", "other task", "pickle", "other id", "unknown row"],
)
def test_a_damaged_message_is_dropped_and_the_next_one_is_served(
    quick_system: System, scene: Scene, message: bytes
) -> None:
    agent = quick_system.start_agent()
    scene.redis.call("LPUSH", QUEUE, message)
    name = scene.ask(QUICK)

    assert scene.wait(name).state == "Success"
    eventually(lambda: scene.redis.call("LLEN", QUEUE) == 0, 5, "the queue is empty")
    assert agent.is_running
    scene.settle()
