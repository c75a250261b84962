"""A fleet whose Redis users were made by an earlier release, brought up to date with what the doctor names."""

import shlex
from pathlib import Path

import pytest

from harness.old_rights import agent_rules_of_the_first_release
from harness.redis_server import RedisServer

from .conftest import SecureSystem

pytestmark = pytest.mark.slow


def connections_of(server: RedisServer, user: str) -> set[str]:
    with server.client() as client:
        return {one["id"] for one in client.client_list() if one["user"] == user}


def test_an_agent_under_the_rights_of_an_earlier_release_gets_new_ones_while_its_script_runs(
    secure: SecureSystem, redis_server: RedisServer, tmp_path: Path
) -> None:
    file = secure.add_instance("i-one")
    rules = agent_rules_of_the_first_release("i-one")
    redis_server.cli("ACL", "SETUSER", "ca-agent-i-one", "clearselectors", *rules)
    agent = secure.start_agent(
        "i-one", credentials=file, environment={"CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.3"}
    )
    go_on = tmp_path / "go-on"
    script = f"while [ ! -e {go_on} ]; do sleep 0.1; done; echo through"
    started = secure.assist("run", script, "--instance", "i-one", "--no-wait").must_succeed().stdout.strip()
    secure.wait_for_state(started, "Running")
    before = connections_of(redis_server, "ca-agent-i-one")

    found = {one["Check"]: one for one in secure.assist("doctor", "--output", "json").json["Findings"]}
    assert found["agent users"]["Verdict"] == "fail"
    named = found["agent users"]["Mend"].partition("assist ")[2]
    assert secure.assist(*shlex.split(named)).must_succeed().stderr == "renewed 1 instance; unchanged: 0\n"
    found = {one["Check"]: one for one in secure.assist("doctor", "--output", "json").json["Findings"]}
    assert found["agent users"]["Verdict"] == "ok"

    go_on.touch()
    shown = secure.assist("invocation", "follow", started, "--output", "json").must_succeed().json
    assert shown["InvocationResults"][0]["Output"] == "through\n"
    assert secure.assist("run", "echo new", "--instance", "i-one").must_succeed().stdout == "new\n"
    assert before <= connections_of(redis_server, "ca-agent-i-one")
    assert "NOPERM" not in agent.log()
    again = secure.assist("instance", "renew-rights", "i-one", "--output", "json").must_succeed()
    assert again.json == {"Renewed": [], "Unchanged": ["i-one"], "Left": []}


def test_one_that_cannot_be_renewed_is_named_with_what_to_do_and_the_others_are(
    secure: SecureSystem, redis_server: RedisServer
) -> None:
    for instance_id in ("i-gone", "i-one"):
        secure.add_instance(instance_id)
    redis_server.cli("ACL", "DELUSER", "ca-agent-i-gone")
    redis_server.cli("ACL", "SETUSER", "ca-agent-i-one", "-fcall")
    outcome = secure.assist("instance", "renew-rights", "--all")
    assert outcome.exit_code == 4
    assert "renewed 1 instance; unchanged: 0" in outcome.stderr
    assert "left i-gone: the server has no user for it; " in outcome.stderr
    assert "assist instance rotate i-gone --credentials FILE" in outcome.stderr
    assert secure.assist("instance", "renew-rights").exit_code == 2
    assert secure.assist("instance", "renew-rights", "i-one", "--all").exit_code == 2
    assert secure.assist("instance", "renew-rights", "i-none").exit_code == 5
    outcome = secure.assist("program", "renew-rights", "beat")
    assert (outcome.exit_code, "left beat: the server has no user for it" in outcome.stderr) == (4, True)
    assert (
        secure.assist("program", "renew-rights", "--all").must_succeed().stderr == "renewed 0 programs; unchanged: 0\n"
    )
