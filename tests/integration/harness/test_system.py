"""How ``System`` starts, watches and ends programs; the programs here are stand-ins of three lines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import proc
from harness.system import System

STAND_INS = {
    "assist-agent": 'echo "agent ready instance_id=$CLOUD_ASSISTANT_INSTANCE_ID"; setsid sleep 64 & exec sleep 65',
    "assist-beat": "echo beat ready; exec sleep 65",
    "assist-gateway": 'echo "gateway ready port=$CLOUD_ASSISTANT_GATEWAY_PORT"; exec sleep 65',
    "assist": """echo "asked $*" >&2; echo '{"Redis": "'$CLOUD_ASSISTANT_REDIS_URL'", "Input": "'$(cat)'"}'; exit 4""",
}


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, script in STAND_INS.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setattr("harness.system.installed_program", lambda name: folder / name)
    programs = System(tmp_path / "system", "redis://127.0.0.1:1/0")
    yield programs
    programs.stop()


def test_agents_beats_and_a_gateway_run_apart_and_nothing_of_them_is_left(system: System) -> None:
    one = system.start_agent("i-one")
    system.start_agent("i-two")
    system.start_beat("beat-1")
    system.start_beat("beat-2")
    gateway = system.start_gateway()
    assert one.home != system.agents["i-two"].home
    assert one.env["CLOUD_ASSISTANT_HOME"] == str(one.home)
    assert f"port={gateway.url.rpartition(':')[2]}" in gateway.log()
    assert len(proc.processes_using(system.folder)) == 7
    system.stop()
    assert not proc.processes_using(system.folder)


def test_an_agent_started_again_has_the_same_home(system: System) -> None:
    first = system.start_agent("i-one")
    first.sigkill()
    second = system.start_agent("i-one")
    assert second.home == first.home
    assert second.pid != first.pid


def test_an_agent_that_is_ready_for_another_instance_is_not_ready(system: System) -> None:
    with pytest.raises(AssertionError, match="i-one"):
        system.start_agent("i-one", environment={"CLOUD_ASSISTANT_INSTANCE_ID": "i-one-more"}, ready_within_seconds=0.3)


def test_the_operators_call_has_exit_code_streams_and_json(system: System) -> None:
    outcome = system.assist("run", "-", input="echo 123")
    assert outcome.exit_code == 4
    assert outcome.stderr == "asked run -\n"
    assert outcome.json == {"Redis": "redis://127.0.0.1:1/0", "Input": "echo 123"}
    with pytest.raises(AssertionError, match="asked run -"):
        outcome.must_succeed()


def test_output_that_is_no_json_is_shown_whole(system: System) -> None:
    outcome = system.assist(input='"')
    with pytest.raises(AssertionError, match="no JSON"):
        assert outcome.json


def test_a_call_can_run_in_the_background(system: System) -> None:
    with system.assist_running("follow", "t-1") as program:
        program.wait_for_line("asked follow t-1")
    assert not program.is_running
