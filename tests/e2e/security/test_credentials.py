"""An agent with credentials: what it takes to be an instance, and to stop being one."""

import os
import tomllib
from pathlib import Path

import pytest

from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer

from .conftest import SecureSystem

pytestmark = pytest.mark.slow


def denied(server: RedisServer) -> set[tuple[str, str]]:
    """What the server refused to agents so far: (command, key or channel, …)."""
    with server.client() as client:
        entries = client.acl_log()
    return {(entry["reason"], entry["object"]) for entry in entries if entry["username"].startswith("ca-agent-")}


def test_a_file_of_credentials_is_all_that_an_agent_needs(secure: SecureSystem) -> None:
    file = secure.folder / "i-one.toml"
    secure.assist("instance", "add", "i-one", "--credentials", file).must_succeed()
    agent = secure.start_agent("i-one", credentials=file)
    outcome = secure.assist("run", "echo 123", "--instance", "i-one", "--output", "json").must_succeed()
    assert outcome.json["InvocationResults"][0]["Output"] == "123\n"
    assert "INSECURE" not in agent.log()
    secret = tomllib.loads(file.read_text())["security"]["instance_key"]
    assert secret not in agent.log()
    assert secret not in outcome.stdout + outcome.stderr


def test_an_agent_asks_for_nothing_that_its_rights_do_not_hold(secure: SecureSystem, redis_server: RedisServer) -> None:
    secure.start_instance("i-one", CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS="0.3")
    secure.assist("run", "echo live; sleep 1; echo more", "--instance", "i-one").must_succeed()
    # Too large for the rows of several targets: the work order has a key of its own.
    secure.add_instance("i-two")
    big = "#" + "x" * 17_000 + "\ntrue\n"
    many = [secure.add_instance(f"i-more{number}") and f"i-more{number}" for number in range(15)]
    options = [part for one in ["i-one", "i-two", *many] for part in ("--instance", one)]
    secure.assist("run", "-", *options, "--no-wait", input=big).must_succeed()
    waits = secure.assist("run", "sleep 60", "--instance", "i-one", "--no-wait").must_succeed().stdout.strip()
    secure.wait_for_state(waits, "Running")
    secure.assist("invocation", "stop", waits).must_succeed()
    secure.wait_for_state(waits, "Terminated")
    # kombu's client introduces itself with a command of Redis 7.2, and an agent tries to register itself.
    assert denied(redis_server) <= {("command", "client|setinfo"), ("key", "ca:instances")}


def test_an_agent_without_credentials_does_not_run_and_says_what_to_do(secure: SecureSystem) -> None:
    home = secure.folder / "i-bare"
    agent = Program(
        [installed_program("assist-agent"), "run"],
        env=clean_environment(
            home,
            {
                "CLOUD_ASSISTANT_REDIS_URL": secure.redis_url,
                "CLOUD_ASSISTANT_INSTANCE_ID": "i-bare",
                "CLOUD_ASSISTANT_HOME": str(home),
            },
        ),
        cwd=home,
        log_path=home / "agent.log",
    )
    with agent:
        assert agent.wait() == 2
    assert "assist instance add" in agent.log()
    assert "CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED=true" in agent.log()


def test_rotation_cuts_the_agent_off_until_it_has_the_new_file_and_its_results_arrive_then(
    secure: SecureSystem, tmp_path: Path
) -> None:
    old = secure.start_instance("i-one", CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS="0.3")
    go_on = tmp_path / "go-on"
    script = f"while [ ! -e {go_on} ]; do sleep 0.1; done; echo through"
    started = secure.assist("run", script, "--instance", "i-one", "--no-wait").must_succeed().stdout.strip()
    secure.wait_for_state(started, "Running")

    file = tmp_path / "new.toml"
    secure.assist("instance", "rotate", "i-one", "--credentials", file).must_succeed()
    old.wait_for_line("WRONGPASS.*[^.]; .* redis_url .* start it with the file of its newest credentials")
    assert "CLOUD_ASSISTANT_REDIS_URL" not in old.log()
    go_on.touch()
    old.stop()
    secure.start_agent("i-one", credentials=file)

    secure.wait_for_state(started, "Success")
    done = secure.assist("invocation", "results", started, "--output", "json").must_succeed()
    assert done.json["InvocationResults"][0]["Output"] == "through\n"
    assert secure.assist("run", "echo new", "--instance", "i-one").must_succeed().stdout == "new\n"


def test_a_file_of_credentials_may_have_a_name_that_is_no_utf8(secure: SecureSystem, tmp_path: Path) -> None:
    secure.add_instance("i-one")
    name = os.fsdecode(b"\xff\x1b.toml")
    outcome = secure.assist("instance", "rotate", "i-one", "--credentials", tmp_path / name, "--output", "json")
    assert outcome.must_succeed().json == {"InstanceId": "i-one", "Credentials": f"{tmp_path}/\\udcff\\x1b.toml"}
    assert "\x1b" not in outcome.stderr
    assert (tmp_path / name).is_file()


def test_a_removed_instance_is_cut_off_at_once_and_stays_out(secure: SecureSystem) -> None:
    agent = secure.start_instance("i-one", CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS="0.3")
    secure.assist("instance", "remove", "i-one").must_succeed()
    agent.wait_for_line("WRONGPASS|NOAUTH|invalid username-password")
    assert secure.assist("instance", "list", "--output", "json").json == []
    assert secure.assist("run", "true", "--instance", "i-one").exit_code == 5
