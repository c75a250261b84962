"""``--at-once``, ``--stop-at`` and ``--failed-in`` as an operator uses them, with real agents and a real beat."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from e2e.cli.conftest import Fleet

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.beat_presence import beat_marks, is_beat_at_work
from harness.eventually import eventually
from harness.processes import Program


@pytest.fixture
def beat(fleet: Fleet) -> Iterator[Program]:
    program = fleet.system.start_beat("beat", environment={})
    with closing(Redis(fleet.system.redis_url)) as redis:
        # Ready is not yet at work: until its first turn it is told that there is none.
        eventually(lambda: is_beat_at_work(redis, looks_count=1, lets_go=True), what="the beat has taken a turn")
    yield program
    program.stop()


def test_one_runs_after_the_other_and_the_answer_is_that_of_all(fleet: Fleet, beat: Program) -> None:
    log = fleet.folder / "turns"
    script = f'echo "begin $CA_INSTANCE_ID" >> {log}; sleep 0.7; echo "end $CA_INSTANCE_ID" >> {log}; echo done'
    outcome = fleet.assist("run", script, "--all", "--at-once", "1").must_succeed()
    assert log.read_text().splitlines() == ["begin i-web1", "end i-web1", "begin i-web2", "end i-web2"]
    assert "2 instances: Success exit 0\n  i-web1, i-web2\n    done\n" in outcome.stdout
    assert "no beat" not in outcome.stderr


def test_what_was_called_off_is_shown_with_its_reason_and_can_be_run_again(fleet: Fleet, beat: Program) -> None:
    outcome = fleet.assist("run", "exit 3", "--all", "--at-once", "50%", "--stop-at", "1")
    assert outcome.exit_code == 1
    reason = "not started: 1 of the others failed, and the limit was 1"
    assert f"1 instance: Cancelled ({reason})" in outcome.stdout
    invoke_id = outcome.stderr.split()[0]
    shown = fleet.assist("invocation", "show", invoke_id).must_succeed().stdout
    assert "At once     1, none after 1 failure" in shown
    assert reason in shown
    again = fleet.assist("run", "echo again", "--failed-in", invoke_id).must_succeed()
    assert "2 instances: Success exit 0" in again.stdout
    nothing = fleet.assist("run", "echo again", "--failed-in", again.stderr.split()[0])
    assert nothing.exit_code == 5
    assert "2 of 2 succeeded" in nothing.stderr


def test_a_file_goes_to_one_after_the_other_and_to_none_after_a_failure(fleet: Fleet, beat: Program) -> None:
    folder = fleet.folder / "sent"
    line = ("file", "send", "-", "--name", "n", "--to", str(folder), "--all", "--at-once", "1")
    # Both instances are this machine, so the second one finds the file of the first.
    outcome = fleet.assist(*line, input="c")
    assert (outcome.exit_code, "FileAlreadyExists" in outcome.stdout) == (1, True), outcome
    assert "1 instance: Success\n  i-web1\n" in outcome.stdout
    called_off = fleet.assist(*line, "--stop-at", "1", input="c")
    assert "not started: 1 of the others failed, and the limit was 1" in called_off.stdout
    covered = fleet.assist(*line, "--overwrite", "--at-once", "2", "--stop-at", "1", input="c").must_succeed()
    assert "--stop-at ends nothing here: --at-once 2 covers all that are chosen (2)" in covered.stderr
    refused = fleet.assist(*line, "--stop-at", "0", input="c")
    assert (refused.exit_code, "'0' is neither a number of instances" in refused.stderr) == (2, True)


def test_only_those_that_failed_are_chosen(fleet: Fleet) -> None:
    invoke_id = fleet.assist("run", "test $CA_INSTANCE_ID = i-web1", "--all").stderr.split()[0]
    outcome = fleet.assist("run", "echo $CA_INSTANCE_ID", "--failed-in", invoke_id).must_succeed()
    assert outcome.stdout == "i-web2\n"


def test_it_is_told_when_nobody_lets_the_next_ones_go(fleet: Fleet) -> None:
    # The last marks of the other tests' beats outlive these for a while.
    redis = Redis(fleet.system.redis_url)
    redis.call("DEL", *beat_marks())
    redis.close()
    outcome = fleet.assist("run", "true", "--all", "--at-once", "1", "--wait-timeout", "1")
    assert outcome.exit_code == 6
    assert "no beat is at work: nothing runs beyond the first ones until assist-beat is started" in outcome.stderr
    fleet.assist("invocation", "stop", outcome.stderr.split()[-2]).must_succeed()


def test_a_beat_of_an_earlier_release_is_told_from_one_that_lets_the_next_ones_go(fleet: Fleet) -> None:
    redis = Redis(fleet.system.redis_url)
    # As earlier ones left their marks.
    redis.pipeline_or_raise([("SET", mark, "beat-0123456789ab", "PX", 20_000) for mark in beat_marks()])
    outcome = fleet.assist("run", "true", "--all", "--at-once", "1", "--wait-timeout", "1")
    assert "only a beat of an earlier release is at work: nothing runs beyond the first ones" in outcome.stderr
    fleet.assist("invocation", "stop", outcome.stderr.split()[-2]).must_succeed()
    redis.call("DEL", *beat_marks())
    redis.close()


def test_what_covers_all_needs_no_beat_and_it_is_told_that_no_failure_ends_it(fleet: Fleet) -> None:
    redis = Redis(fleet.system.redis_url)
    redis.call("DEL", *beat_marks())
    redis.close()
    outcome = fleet.assist("run", "true", "--all", "--at-once", "2", "--stop-at", "1").must_succeed()
    assert "--stop-at ends nothing here: --at-once 2 covers all that are chosen (2)" in outcome.stderr
    assert "no beat" not in outcome.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at-once", "0"], "how many at once (--at-once, AtOnce): '0' is neither a number of instances nor a share"),
        (["--at-once", ""], "it is empty"),
        (["--stop-at", "1"], "when to end (--stop-at, StopAt) needs how many at once (--at-once, AtOnce)"),
        (["--at-once", "1", "--repeat-mode", "EveryReboot"], "cannot be said of what runs when machines start"),
        *(
            (["--at-once", "1", "--frequency", "rate(1 h)", *policy.split()], f"does not go with {told}")
            for policy, told in (
                ("--jitter 1m", "--jitter: an instance waits for its turn, or for something else; use --jitter 0, or"),
                ("--misfire all", "--misfire all: an instance waits for its turn, or for something else; use --mis"),
                ("--overlap queue", "--overlap queue: an instance waits for its turn, or for something else; use"),
                ("--overlap cancel", "--overlap cancel: an instance waits for its turn, or for something else; use"),
            )
        ),
        (["--failed-in", "t-0123456789"], "--failed-in names the instances by itself"),
    ],
)
def test_what_makes_no_sense_is_refused(fleet: Fleet, options: list[str], said: str) -> None:
    outcome = fleet.assist("run", "true", "--all", *options)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert said in outcome.stderr
