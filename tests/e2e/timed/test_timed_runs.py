"""Timed invocations as an operator meets them: the command line, real beats, real agents, real scripts."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from e2e.timed.conftest import Operator
from faults.agents import READY, in_boot, kill_machine, make_boot, start

from harness.eventually import eventually
from harness.processes import installed_program
from harness.system import System


def is_left_out(operator: Operator, invoke_id: str, reason: str, count: int) -> bool:
    return bool(sum(row["Count"] for row in operator.history(invoke_id, "skipped") if row["Reason"] == reason) >= count)


@pytest.mark.timeout(120)
def test_each_due_time_runs_the_script_once_on_each_instance_as_the_preview_said(
    operator: Operator, tmp_path: Path
) -> None:
    for name in ("i-one", "i-two"):
        operator.system.start_agent(name)
    for name in ("beat-a", "beat-b"):
        operator.system.start_beat(name)
    trace = tmp_path / "trace"
    script = f"echo $CA_INSTANCE_ID $CA_INVOKE_ID >> {trace}"
    invoke_id = operator.invoke(script, "--timezone", "Asia/Kolkata", frequency="1/3 * * * * *")
    shown = operator.json("timed", "show", invoke_id)
    assert (shown["Status"], shown["TimeZone"], shown["RepeatMode"]) == ("active", "Asia/Kolkata", "Period")
    foreseen = operator.due_times(invoke_id, "--from", shown["CreationTime"], "--count", "30")
    expected = operator.due_times(
        "1/3 * * * * *", "--timezone", "Asia/Kolkata", "--from", shown["CreationTime"], "--count", "30"
    )
    operator.wait_for_fired(invoke_id, 3)
    operator.run("timed", "stop", invoke_id).must_succeed()
    rows = operator.history(invoke_id)
    happened = [row["DueTime"] for row in rows]
    # Made in one second, it may have begun in the next one, which was due.
    assert foreseen == expected
    first = foreseen.index(happened[0])
    assert first <= 1
    assert happened == foreseen[first : first + len(happened)]
    assert {row["Status"] for row in rows[:3]} == {"fired"}
    eventually(lambda: not unfinished(operator, invoke_id), 20)
    succeeded = sum(row["Counts"].get("Success", 0) for row in operator.history(invoke_id))
    assert len(trace.read_text().splitlines()) == succeeded >= 6
    results = operator.json("invocation", "results", invoke_id)
    assert {one["InstanceId"] for one in results["InvocationResults"]} == {"i-one", "i-two"}
    assert operator.json("invocation", "history", invoke_id, "--limit", "500")["Firings"][::-1] == operator.history(
        invoke_id
    )
    assert operator.json("timed", "show", invoke_id)["Status"] == "stopped"


def unfinished(operator: Operator, invoke_id: str) -> set[str]:
    states = {state for row in operator.history(invoke_id) for state in row["Counts"]}
    return states - {"Success", "Cancelled", "Terminated"}


@pytest.mark.timeout(120)
def test_pause_leaves_rows_resume_goes_on_and_modify_holds_at_once(operator: Operator, tmp_path: Path) -> None:
    operator.system.start_agent("i-one")
    operator.system.start_beat()
    invoke_id = operator.invoke("true")
    operator.wait_for_fired(invoke_id, 1)
    assert "paused" in operator.run("timed", "pause", invoke_id).must_succeed().stderr
    assert operator.json("timed", "list")[0]["Status"] == "paused"
    assert "paused" in operator.run("timed", "preview", invoke_id).must_succeed().stderr
    eventually(lambda: is_left_out(operator, invoke_id, "paused", 2), 20)
    operator.run("timed", "resume", invoke_id).must_succeed()
    count = len(operator.history(invoke_id, "fired"))
    operator.wait_for_fired(invoke_id, count + 1)
    text = operator.run("invocation", "history", invoke_id).must_succeed().stdout
    assert "left out: paused" in text

    trace = tmp_path / "trace"
    changed = ("--frequency", "*/2 * * * * *", "--script", f"echo new >> {trace}", "--overlap", "queue")
    operator.run("timed", "modify", invoke_id, *changed).must_succeed()
    eventually(trace.exists, 20)
    shown = operator.json("timed", "show", invoke_id)
    assert (shown["Frequency"], shown["OverlapPolicy"], shown["Status"]) == ("*/2 * * * * *", "queue", "active")
    rows = operator.history(invoke_id)
    moments = [row["DueTime"] for row in rows]
    assert moments == sorted(set(moments)), "no due time twice, none out of order"


@pytest.mark.timeout(120)
def test_each_due_time_goes_to_a_few_at_a_time(operator: Operator, tmp_path: Path) -> None:
    for name in ("i-one", "i-two", "i-three"):
        operator.system.start_agent(name)
    for name in ("beat-a", "beat-b"):
        operator.system.start_beat(name)
    turns = tmp_path / "turns"
    script = f"echo begin $CA_EXECUTION_ID >> {turns}; sleep 0.3; echo end $CA_EXECUTION_ID >> {turns}"
    invoke_id = operator.invoke(script, "--at-once", "1", "--stop-at", "50%", frequency="*/6 * * * * *")
    shown = operator.json("timed", "show", invoke_id)
    assert (shown["AtOnce"], shown["StopAt"]) == (1, 2)
    assert "At once        1, none after 2 failures" in operator.run("timed", "show", invoke_id).must_succeed().stdout
    operator.wait_for_fired(invoke_id, 2)
    operator.run("timed", "pause", invoke_id).must_succeed()
    eventually(lambda: not unfinished(operator, invoke_id), 20)
    lines = turns.read_text().splitlines()
    assert len(lines) >= 12
    for begin, end in zip(lines[::2], lines[1::2], strict=True):
        assert (begin.split()[0], end.split()[0], begin.split()[1]) == ("begin", "end", end.split()[1])

    operator.run("timed", "modify", invoke_id, "--at-once", "2").must_succeed()
    shown = operator.json("timed", "show", invoke_id)
    assert (shown["AtOnce"], shown["StopAt"]) == (2, 2)
    both = operator.run("timed", "modify", invoke_id, "--at-once", "2", "--no-at-once")
    assert (both.exit_code, "--no-at-once does not go with" in both.stderr) == (2, True)
    operator.run("timed", "modify", invoke_id, "--no-at-once").must_succeed()
    assert "AtOnce" not in operator.json("timed", "show", invoke_id)


@pytest.mark.timeout(120)
def test_it_ends_by_itself_after_the_most_runs_and_at_its_end_time(operator: Operator) -> None:
    operator.system.start_agent("i-one")
    operator.system.start_beat()
    counted = operator.invoke("true", "--max-count", "2")
    assert len(operator.due_times(counted, "--count", "50")) <= 2, "a preview knows how many are left"
    soon = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 8, UTC).isoformat(timespec="seconds")
    timed_out = operator.invoke("true", "--end-time", soon)
    eventually(partial(has_ended, operator, counted, "max_count"), 20)
    eventually(partial(has_ended, operator, timed_out, "end_time"), 20)
    assert len(operator.history(counted, "fired")) == 2
    last = operator.history(timed_out)[-1]["DueTime"]
    assert datetime.fromisoformat(last) <= datetime.fromisoformat(soon)
    refused = operator.run("timed", "pause", counted)
    assert (refused.exit_code, refused.stderr.count("\n")) == (4, 1)
    assert "max_count" in refused.stderr


def test_an_end_time_without_an_offset_is_in_the_zone_of_the_schedule(operator: Operator) -> None:
    operator.system.start_agent("i-one")
    in_shanghai = "0 0 9 * * * Asia/Shanghai"
    end = "2090-01-01 00:00:00"
    for frequency, *zone in ((in_shanghai,), ("0 0 9 * * *", "--timezone", "Asia/Shanghai")):
        invoke_id = operator.invoke("true", "--end-time", end, *zone, frequency=frequency)
        assert operator.json("timed", "show", invoke_id)["EndTime"] == "2089-12-31T16:00:00Z"

    def end_after(*options: str) -> str:
        changed: str = operator.json("timed", "modify", invoke_id, "--end-time", end, *options)["EndTime"]
        return changed

    assert end_after("--end-time", "2089-01-01") == "2088-12-31T16:00:00Z"
    assert end_after("--timezone", "Asia/Tokyo") == "2089-12-31T15:00:00Z"
    assert end_after() == "2089-12-31T15:00:00Z"
    assert end_after("--frequency", "0 0 9 * * * Europe/Berlin") == "2089-12-31T23:00:00Z"
    assert end_after("--frequency", "0 0 9 * * *") == "2089-12-31T23:00:00Z"
    assert end_after("--frequency", "0 0 9 * * *", "--timezone", "UTC") == "2090-01-01T00:00:00Z"
    assert end_after("--end-time", "2089-06-01T00:00:00+05:00") == "2089-05-31T19:00:00Z"
    assert operator.due_times(invoke_id, "--from", "2089-05-30", "--count", "1") == ["2089-05-30T09:00:00Z"]
    operator.json("timed", "modify", invoke_id, "--frequency", in_shanghai)
    assert operator.due_times(invoke_id, "--from", "2089-05-30", "--count", "1") == ["2089-05-30T01:00:00Z"]
    assert operator.due_times(invoke_id, "--from", "2089-05-30 09:00:00", "--count", "1") == ["2089-05-30T01:00:00Z"]
    assert operator.due_times(invoke_id, "--from", "2089-05-30 09:00:01", "--count", "1") == ["2089-05-31T01:00:00Z"]


def has_ended(operator: Operator, invoke_id: str, reason: str) -> bool:
    with operator.system.operator() as asked:
        timed = asked.timed.show(invoke_id).timed
    return (timed.status, timed.end_reason) == ("ended", reason)


@pytest.mark.timeout(120)
def test_an_instance_that_comes_back_runs_the_present_due_time_and_no_backlog(
    operator: Operator, tmp_path: Path
) -> None:
    agent = operator.system.start_agent("i-one")
    operator.system.start_beat()
    agent.stop()
    trace = tmp_path / "trace"
    invoke_id = operator.invoke(f"echo $CA_INVOKE_ID >> {trace}", frequency="*/2 * * * * *")
    eventually(lambda: len(operator.history(invoke_id, "fired")) >= 4, 30, every_seconds=0.3)
    operator.system.start_agent("i-one")
    eventually(trace.exists, 20)
    operator.run("timed", "stop", invoke_id).must_succeed()
    rows = operator.history(invoke_id, "fired")
    expired = [row for row in rows if row["Counts"].get("Aborted")]
    assert len(expired) >= 3, rows
    assert {one["ErrorCode"] for row in expired for one in row["Instances"]} <= {"ClientNotRunning", "DeliveryTimeout"}
    assert len(trace.read_text().splitlines()) <= len(rows) - len(expired)


@pytest.mark.timeout(120)
def test_each_overlap_policy_does_with_real_scripts_what_it_says(operator: Operator, tmp_path: Path) -> None:
    operator.system.start_agent("i-one")
    operator.system.start_beat()
    made = {}
    for policy in ("skip", "queue", "cancel", "allow"):
        # Longer than the time between two due times, shorter than that between three.
        script = f"echo + >> {tmp_path}/{policy}; sleep 3; echo - >> {tmp_path}/{policy}"
        made[policy] = operator.invoke(script, "--overlap", policy, frequency="*/2 * * * * *")
    eventually(lambda: len(operator.history(made["allow"], "fired")) >= 6, 40, every_seconds=0.3)
    states = {name: in_order(operator.history(invoke_id)) for name, invoke_id in made.items()}
    for invoke_id in made.values():
        operator.run("timed", "stop", invoke_id).must_succeed()
    assert "overlap" in states["skip"]
    assert "SuccessSuccess" not in "".join(states["skip"])
    assert states["cancel"].count("Terminated") >= 3
    assert set(states["allow"][:3]) == {"Success"}
    traces = {name: "".join((tmp_path / name).read_text().split()) for name in made}
    assert "++" in traces["allow"]
    assert "++" not in traces["skip"]
    assert "++" not in traces["queue"]
    assert "-" not in traces["cancel"], "each was ended by the next"


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    """What became of each due time with one target."""
    return [row["Reason"] or next(iter(row["Counts"]), "") for row in rows]


@pytest.mark.timeout(60)
def test_what_was_stopped_without_any_beat_still_explains_its_due_times(operator: Operator) -> None:
    operator.system.register("i-one")
    invoke_id = operator.invoke("true")
    due = operator.json("timed", "show", invoke_id)["NextDueTime"]
    eventually(lambda: datetime.now(UTC) > datetime.fromisoformat(due), 5)
    operator.run("timed", "stop", invoke_id).must_succeed()
    rows = operator.history(invoke_id)
    assert rows[0]["DueTime"] == due
    assert {(row["Status"], row["Reason"]) for row in rows} == {("skipped", "stopped")}
    assert "left out: stopped" in operator.run("invocation", "history", invoke_id).must_succeed().stdout


def test_a_timed_run_answers_at_once(operator: Operator) -> None:
    operator.system.register("i-one")
    made = operator.json("run", "true", "--all", "--frequency", "0 0 4 * * *")
    assert made["InvocationStatus"] == "Scheduled"
    listed = operator.json("timed", "list")
    assert [one["InvokeId"] for one in listed] == [made["InvokeId"]]
    next_due = datetime.fromisoformat(listed[0]["NextDueTime"])
    assert next_due > datetime.now(UTC)
    assert (next_due.hour, next_due.minute) == (4, 0)


@pytest.mark.timeout(120)
def test_what_is_bound_to_boots_is_made_shown_and_stopped_like_the_others(operator: Operator, tmp_path: Path) -> None:
    system = operator.system
    argv: list[str | Path] = [installed_program("assist-agent"), "run"]
    agent = start(system, in_boot(make_boot(system.folder), argv), "i-one", ready=READY)
    system.start_beat()
    trace = tmp_path / "trace"
    made: dict[str, Any] = operator.json("run", f"echo up >> {trace}", "--all", "--repeat-mode", "EveryReboot")
    invoke_id = made["InvokeId"]
    assert made["InvocationStatus"] == "Scheduled"
    for _ in range(2):
        kill_machine(agent, system.folder / "i-one")
        agent = start(system, in_boot(make_boot(system.folder), argv), "i-one", ready=READY)
    operator.wait_for_fired(invoke_id, 2)
    assert trace.read_text().split() == ["up", "up"]
    assert "EveryReboot" in operator.run("timed", "list").must_succeed().stdout
    refused = operator.run("timed", "preview", invoke_id)
    assert (refused.exit_code, "machines start" in refused.stderr) == (2, True)
    operator.run("timed", "stop", invoke_id).must_succeed()
    kill_machine(agent, system.folder / "i-one")
    start(system, in_boot(make_boot(system.folder), argv), "i-one", ready=READY)
    assert operator.json("timed", "show", invoke_id)["Status"] == "stopped"
    assert trace.read_text().split() == ["up", "up"]


def test_a_history_without_a_row_says_when_there_will_be_one(operator: Operator) -> None:
    operator.system.start_agent("i-one")
    invoke_id = operator.invoke("true", frequency="at(2090-01-01 00:00:00)")
    at_boot = operator.json("run", "true", "--all", "--repeat-mode", "EveryReboot")["InvokeId"]
    told = operator.run("invocation", "history", invoke_id).must_succeed()
    assert (told.stdout, told.stderr.count("\n")) == ("", 1)
    assert "the next one is 2090-01-01T00:00:00Z" in told.stderr
    assert "at a start of its machine" in operator.run("invocation", "history", at_boot).must_succeed().stderr
    operator.run("timed", "stop", invoke_id).must_succeed()
    assert "over: stopped" in operator.run("invocation", "history", invoke_id).must_succeed().stderr


def test_an_unknown_timed_invocation_is_not_found(system: System) -> None:
    for verb in ("show", "pause", "resume", "stop"):
        outcome = system.assist("timed", verb, "t-nothing")
        assert outcome.exit_code == 5, str(outcome)
        assert outcome.stderr.count("\n") == 1
