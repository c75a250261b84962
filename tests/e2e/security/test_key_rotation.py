"""The master key is replaced while the fleet works: nothing is refused before, meanwhile or afterwards."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from harness.eventually import eventually
from harness.redis_server import RedisServer

from .conftest import SecureSystem

pytestmark = pytest.mark.slow

QUICK = {"CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.3"}


def test_agents_take_up_new_keys_while_scripts_run_without_a_single_refusal(secure: SecureSystem) -> None:
    agent = secure.start_instance("i-one", **QUICK)
    states: list[str] = []
    stop = threading.Event()

    def keep_running() -> None:
        while not stop.is_set():
            outcome = secure.assist("run", "true", "--instance", "i-one", "--output", "json")
            states.append(json.loads(outcome.stdout)["InvocationStatus"] if outcome.stdout else outcome.stderr)

    running = threading.Thread(target=keep_running)
    running.start()
    try:
        eventually(lambda: len(states) > 1, 20, "scripts run")
        rotated = secure.assist("key", "rotate", "--output", "json", within_seconds=60).must_succeed().json
        count = len(states)
        eventually(lambda: len(states) > count + 2, 20, "scripts run with the new key")
    finally:
        stop.set()
        running.join()
    assert rotated["Current"] == "k2"
    assert [one["KeyId"].partition(".")[0] for one in rotated["Instances"]] == ["k2"]
    assert set(states) == {"Success"}
    agent.wait_for_line("took up new keys")
    kept = agent.home / "instance-key.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_rotation_that_waits_says_for_what_before_it_waits(secure: SecureSystem) -> None:
    agent = secure.start_instance("i-one", **QUICK)
    agent.sigstop()
    try:
        with secure.assist_running("key", "rotate", "--wait", "1h") as rotation:
            rotation.wait_for_line("made the master key k2; copy .*master-key.json to the other machines")
            rotation.wait_for_line("waiting up to 1 h for 1 connected agent to take up new keys; Ctrl-C undoes nothing")
            agent.sigcont()
            assert rotation.wait(within_seconds=40) == 0
    finally:
        agent.sigcont()
    rotation.wait_for_line("i-one +k2[.]")


def test_an_instance_that_was_off_comes_along_when_it_returns(secure: SecureSystem) -> None:
    file = secure.add_instance("i-one")
    secure.start_agent("i-one", credentials=file, environment=QUICK).stop()
    rotated = secure.assist("key", "rotate", "--wait", "1", "--output", "json").must_succeed().json
    assert rotated["Instances"][0]["KeyId"].startswith("k1.")
    assert rotated["Instances"][0]["NextKeyId"].startswith("k2.")

    secure.start_agent("i-one", credentials=file, environment=QUICK)
    assert secure.assist("run", "echo old", "--instance", "i-one").must_succeed().stdout == "old\n"

    def has_moved() -> bool:
        shown = secure.assist("key", "show", "--output", "json").must_succeed().json
        return bool(shown["Instances"][0]["KeyId"].startswith("k2."))

    eventually(has_moved, 10, "the instance holds its new key")
    assert secure.assist("run", "echo new", "--instance", "i-one").must_succeed().stdout == "new\n"


def test_keys_taken_up_count_after_a_restart_of_the_agent(secure: SecureSystem) -> None:
    file = secure.add_instance("i-one")
    agent = secure.start_agent("i-one", credentials=file, environment=QUICK)
    secure.assist("key", "rotate").must_succeed()
    agent.sigkill()
    secure.start_agent("i-one", credentials=file, environment=QUICK)
    assert secure.assist("run", "echo kept", "--instance", "i-one").must_succeed().stdout == "kept\n"


def test_a_program_that_started_before_the_rotation_signs_with_the_new_key_too(
    secure: SecureSystem, redis_server: RedisServer, tmp_path: Path
) -> None:
    secure.start_instance("i-one", **QUICK)
    program = f"""
import sys
from dataclasses import replace
from cloud_assistant.broker_config.settings import load
from cloud_assistant.producer import Assistant, Targets
settings = replace(load({{"home": {str(secure.folder / "operator")!r}}}).settings, redis_url={redis_server.url()!r})
with Assistant(settings=settings) as assistant:
    for line in sys.stdin:
        invoked = assistant.run_command("echo " + line, Targets(instance_ids=["i-one"]))
        print(assistant.wait(invoked.invoke_id, timeout_seconds=20).status.state.value, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as producer:
        assert producer.stdin
        assert producer.stdout
        producer.stdin.write("before\n")
        producer.stdin.flush()
        assert producer.stdout.readline() == "Success\n"
        secure.assist("key", "rotate").must_succeed()
        producer.stdin.write("after\n")
        producer.stdin.flush()
        assert producer.stdout.readline() == "Success\n"
        producer.stdin.close()


def test_new_keys_from_anybody_else_are_refused(secure: SecureSystem, redis_server: RedisServer) -> None:
    agent = secure.start_instance("i-one", **QUICK)
    key_id = redis_server.cli("HGET", keys.KEY_IDS, "i-one")
    redis_server.cli("SET", keys.key_bundle("i-one"), f"{key_id}:Zm9yZ2Vk")
    agent.wait_for_line("new keys of this instance were refused")
    assert secure.assist("run", "echo still", "--instance", "i-one").must_succeed().stdout == "still\n"
