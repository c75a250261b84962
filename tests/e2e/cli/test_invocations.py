"""``assist invocation …``: look, follow, stop."""

import json
import signal

import pytest
from e2e.cli.conftest import Fleet, waiting_for

from harness.eventually import eventually


def wait_until_running(fleet: Fleet, invoke_id: str) -> None:
    eventually(lambda: fleet.state_of(invoke_id) == "Running", 10, f"{invoke_id} runs")


def test_follow_shows_a_running_invocation_to_its_end(fleet: Fleet) -> None:
    invoke_id = fleet.start("echo one; sleep 1; echo two; exit 2", "i-web1")
    outcome = fleet.assist("invocation", "follow", invoke_id)
    assert outcome.exit_code == 1
    assert outcome.stdout == "one\ntwo\n"
    assert f"{invoke_id} i-web1 Failed exit 2" in outcome.stderr


def test_follow_of_a_finished_invocation_shows_it_again(fleet: Fleet) -> None:
    invoke_id = fleet.start("echo one")
    assert fleet.assist("invocation", "follow", invoke_id).must_succeed().stdout.startswith("2 instances: Success")
    again = fleet.assist("invocation", "follow", invoke_id, "--output", "json").must_succeed().json
    assert [one["Output"] for one in again["InvocationResults"]] == ["one\n", "one\n"]


def test_follow_with_too_little_time_is_exit_code_6(fleet: Fleet) -> None:
    invoke_id = fleet.start("sleep 50", "i-web1")
    assert fleet.assist("invocation", "follow", invoke_id, "--wait-timeout", "0.3").exit_code == 6
    fleet.assist("invocation", "stop", invoke_id, "--wait").must_succeed()


def test_results_of_a_running_invocation_are_there_at_once_or_awaited(fleet: Fleet) -> None:
    gate = fleet.gate("results")
    invoke_id = fleet.start(f"{waiting_for(gate)}; echo late; exit 5")
    now = fleet.assist("invocation", "results", invoke_id, "--output", "json").must_succeed().json
    assert now["InvocationStatus"] in ("Pending", "Running")
    assert fleet.assist("invocation", "results", invoke_id, "--wait", "0.2").exit_code == 6
    gate.touch()
    awaited = fleet.assist("invocation", "results", "--wait", invoke_id, "--output", "json")
    assert awaited.exit_code == 1
    assert [one["ExitCode"] for one in awaited.json["InvocationResults"]] == [5, 5]
    assert fleet.assist("invocation", "results", invoke_id).exit_code == 0


def test_what_is_different_from_the_commonest_output_is_told(fleet: Fleet) -> None:
    invoke_id = fleet.start("echo same; test $CA_INSTANCE_ID = i-web1 || echo more")
    fleet.assist("invocation", "results", invoke_id, "--wait", "10").must_succeed()
    told = fleet.assist("invocation", "results", invoke_id, "--diff").must_succeed().stdout.splitlines()
    assert [line for line in told if line.startswith("    ")] in (
        ["    same", "    @@ -1 +1,2 @@", "     same", "    +more"],
        ["    same", "    more", "    @@ -1,2 +1 @@", "     same", "    -more"],
    )
    refused = fleet.assist("invocation", "results", invoke_id, "--diff", "--output", "json")
    assert refused.exit_code == 2
    assert "--diff compares one run, as text: leave out --output json, or --diff" in refused.stderr


def test_results_can_be_narrowed_to_instances(fleet: Fleet) -> None:
    invoke_id = fleet.start("echo here")
    one = fleet.assist("invocation", "results", invoke_id, "--wait", "10", "--instance", "i-web2").must_succeed()
    assert one.stdout == "here\n"
    stranger = fleet.assist("invocation", "results", invoke_id, "--instance", "i-web9")
    assert stranger.exit_code == 5
    assert stranger.stderr.endswith("(InvalidInstanceId.NotFound)\n")


def test_history_of_an_invocation_is_one_line_per_execution(fleet: Fleet) -> None:
    invoke_id = fleet.start("true")
    fleet.assist("invocation", "results", invoke_id, "--wait").must_succeed()
    lines = fleet.assist("invocation", "results", invoke_id, "--history").must_succeed().stdout.splitlines()
    assert lines[0].split() == ["DUE", "INSTANCE", "STATE", "TOOK", "REASON"]
    assert len(lines) == 3
    history = fleet.assist("invocation", "results", invoke_id, "--history", "--output", "json").must_succeed().json
    assert len(history["InvocationResults"]) == 2


def test_show_tells_what_was_asked_and_where_each_instance_stands(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "exit 9", "--all", "--name", "shown", "--workdir", "/tmp", "--output", "json")
    invoke_id = outcome.json["InvokeId"]
    text = fleet.assist("invocation", "show", invoke_id).must_succeed().stdout
    assert "Failed (2 Failed)" in text
    assert "shown" in text
    assert "/tmp" in text
    assert text.count("Failed exit 9") == 2
    shown = fleet.assist("invocation", "show", invoke_id, "--output", "json").must_succeed().json
    assert shown["CommandContent"] == "exit 9"
    assert shown["TargetCount"] == 2
    assert shown["CountsByStatus"] == {"Failed": 2}
    assert {one["InstanceId"] for one in shown["InvokeInstances"]["InvokeInstance"]} == {"i-web1", "i-web2"}


def test_a_list_can_be_filtered_and_paged(fleet: Fleet) -> None:
    ids = [
        fleet.assist("run", "exit 3", "--instance", "i-web1", "--name", "listed", "--output", "json").json["InvokeId"]
        for _ in range(3)
    ]

    def listed(*arguments: str) -> list[str]:
        outcome = fleet.assist("invocation", "list", "--name", "listed", "--output", "json", *arguments)
        return [one["InvokeId"] for one in outcome.must_succeed().json]

    assert listed() == ids[::-1]
    assert listed("--status", "Failed", "--limit", "2") == ids[:0:-1]
    assert listed("--status", "Success") == []
    assert listed("--type", "RunBatScript") == []
    assert ids[0] in fleet.assist("invocation", "list", "--instance", "i-web1").stdout
    assert ids[0] not in fleet.assist("invocation", "list", "--instance", "i-web2").stdout
    assert listed("--instance", "i-web1") == ids[::-1]
    assert listed("--instance", "i-web2") == []
    text = fleet.assist("invocation", "list", "--name", "listed", "--limit", "2").must_succeed()
    assert text.stdout.splitlines()[0].split() == ["INVOCATION", "CREATED", "STATE", "TARGETS", "NAME"]
    assert max(map(len, text.stdout.splitlines())) <= 100
    assert "1 to 2 of 3 invocations; --page 2 shows more" in text.stderr


def test_stop_ends_what_runs_and_says_so(fleet: Fleet) -> None:
    invoke_id = fleet.start("sleep 60")
    wait_until_running(fleet, invoke_id)
    only = fleet.assist("invocation", "stop", invoke_id, "--instance", "i-web1", "--wait").must_succeed()
    assert [line.split() for line in only.stdout.splitlines()] == [["INSTANCE", "STATE"], ["i-web1", "Terminated"]]
    rest = fleet.assist("invocation", "stop", invoke_id, "--wait", "--output", "json").must_succeed().json
    assert rest["InvocationStatus"] == "Stopped"
    assert [one["InstanceId"] for one in rest["Stopped"]] == ["i-web2"]
    assert {one["InvocationStatus"] for one in rest["InvocationResults"]} == {"Terminated"}
    nothing = fleet.assist("invocation", "stop", invoke_id).must_succeed()
    assert f"nothing left to stop; {invoke_id} is Stopped" in nothing.stderr


def test_stop_without_waiting_answers_at_once(fleet: Fleet) -> None:
    invoke_id = fleet.start("sleep 60", "i-web1")
    wait_until_running(fleet, invoke_id)
    answer = fleet.assist("invocation", "stop", invoke_id, "--output", "json").must_succeed().json
    assert "InvocationResults" not in answer
    assert answer["Stopped"] == [{"InstanceId": "i-web1", "InvocationStatus": "Stopping"}]
    eventually(lambda: fleet.state_of(invoke_id) == "Stopped", 15, "the stop is confirmed")


def test_an_unknown_invocation_is_exit_code_5_for_every_verb(fleet: Fleet) -> None:
    for verb in ("show", "results", "follow", "stop"):
        outcome = fleet.assist("invocation", verb, "t-unknown1")
        assert (outcome.exit_code, outcome.stdout) == (5, ""), str(outcome)
        assert outcome.stderr.endswith("(InvalidInvokeId.NotFound)\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_ctrl_c_stops_the_watching_and_not_the_script(fleet: Fleet, form: str) -> None:
    gate = fleet.gate(f"interrupted-{form}")
    script = f"echo begun; {waiting_for(gate)}; echo ended"
    arguments = ("run", script, "--instance", "i-web1", "--output", form)
    with fleet.system.assist_running(*arguments, name=f"interrupted {form}") as program:
        if form == "text":
            program.wait_for_line("^begun$", within_seconds=15)
        else:
            eventually(lambda: running_ids(fleet), 15, "the script runs", every_seconds=0.2)
        program.send(signal.SIGINT)
        assert program.wait(10) == 130
        said = program.log()
    gate.touch()
    invoke_id = said.rpartition("assist invocation stop ")[2].split()[0]
    assert f"assist invocation follow {invoke_id}" in said
    assert "Traceback" not in said
    if form == "json":
        answer = json.loads(said[said.index("{") : said.rindex("}") + 1])
        assert (answer["InvokeId"], answer["InvocationStatus"]) == (invoke_id, "Running")
    again = fleet.assist("invocation", "follow", invoke_id).must_succeed()
    assert again.stdout == "begun\nended\n"


def running_ids(fleet: Fleet) -> list[str]:
    listed = fleet.assist("invocation", "list", "--status", "Running", "--output", "json").must_succeed().json
    return [one["InvokeId"] for one in listed]


def test_what_is_shown_of_a_timed_invocation_is_so(fleet: Fleet) -> None:
    once, timed = fleet.start("true"), fleet.start("true", frequency="0 0 3 * * *")
    assert "Deliver     within 60 s" in fleet.assist("invocation", "show", once).must_succeed().stdout
    shown = fleet.assist("invocation", "show", timed).must_succeed().stdout
    assert "Schedule    0 0 3 * * * UTC" in shown
    assert "Deliver" not in shown
    stranger = fleet.assist("timed", "modify", timed, "--instance", "i-stranger")
    assert "`assist instance list` shows those that are" in stranger.stderr
    fleet.assist("timed", "stop", timed).must_succeed()


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("run true --tag env=none", "assist instance list"),
        ("activation show nope", "assist activation list"),
        ("invocation stop {} --instance i-stranger", "assist invocation show {}"),
        ("package withdraw tools 1", "assist package list"),
        ("agent-version withdraw 1", "assist agent-version list"),
        ("package install tools --all", "assist package list"),
        ("access-key disable CA0", "assist access-key list"),
        ("timed show {}", "assist timed list"),
    ],
)
def test_what_is_not_there_is_told_with_what_shows_those_that_are(fleet: Fleet, line: str, remedy: str) -> None:
    invoke_id = fleet.start("true") if "{}" in line else ""
    outcome = fleet.shell(f"assist {line.replace('{}', invoke_id)}")
    assert outcome.exit_code == 5, outcome.stderr
    assert f"`{remedy.replace('{}', invoke_id)}`" in outcome.stderr
