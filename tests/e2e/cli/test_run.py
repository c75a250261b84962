"""``assist run`` against real agents: what it prints where, and how it ends."""

import base64
import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from e2e.cli.conftest import Fleet, waiting_for

RESULT_KEYS = {
    "InstanceId",
    "InvocationStatus",
    "ExitCode",
    "Output",
    "OutputBase64",
    "StandardOutput",
    "StandardError",
    "Dropped",
    "ErrorCode",
    "ErrorInfo",
    "StartTime",
    "FinishedTime",
}


def test_one_target_prints_exactly_what_the_script_printed(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "echo 123; echo oops >&2", "--instance", "i-web1").must_succeed()
    assert outcome.stdout == "123\n"
    said = outcome.stderr.splitlines()
    assert said[0] == "oops"
    assert said[1].startswith("t-")
    assert " i-web1 Success exit 0 in " in said[1]
    assert len(said) == 2


def test_bytes_come_through_a_pipe_unchanged(fleet: Fleet) -> None:
    outcome = fleet.shell("assist run \"printf 'a\\\\000\\\\377b'\" --instance i-web1 2>/dev/null | base64")
    assert base64.b64decode(outcome.stdout) == b"a\0\xffb"


def test_output_that_comes_in_bursts_is_whole_in_a_pipe(fleet: Fleet) -> None:
    script = "sleep 0.4; head -c 20000 /dev/zero | tr '\\0' x; sleep 0.4; printf end"
    outcome = fleet.assist("run", script, "--instance", "i-web1").must_succeed()
    assert outcome.stdout == "x" * 20_000 + "end"


def test_output_is_shown_while_the_script_runs(fleet: Fleet) -> None:
    with fleet.system.assist_running("run", "echo early; sleep 20; echo late", "--instance", "i-web1") as program:
        program.wait_for_line("^early$", within_seconds=10)
        assert program.is_running
    fleet.shell(
        "for id in $(assist invocation list --status Running --output json | grep -o 't-[0-9a-z]*'); do"
        " assist invocation stop $id; done"
    )


def test_a_failed_script_is_exit_code_1_and_its_own_is_shown(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "echo no; exit 3", "--instance", "i-web1")
    assert outcome.exit_code == 1
    assert outcome.stdout == "no\n"
    assert "Failed exit 3" in outcome.stderr


def test_many_targets_are_grouped_by_what_came_of_them(fleet: Fleet) -> None:
    same = fleet.assist("run", "echo same", "--all").must_succeed()
    assert same.stdout == "2 instances: Success exit 0\n  i-web1, i-web2\n    same\n"
    assert same.stderr.strip().endswith("2 instances: 2 Success")
    differing = fleet.assist("run", "echo $$", "--tag", "env=test").must_succeed()
    assert differing.stdout.count("1 instance: Success exit 0") == 2


def test_json_is_one_object_with_the_names_of_the_api(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "printf 'out'; printf '\\377err' >&2; exit 4", "--all", "--output", "json")
    assert outcome.exit_code == 1
    assert outcome.stderr == ""
    answer = outcome.json
    assert set(answer) == {"InvokeId", "CommandId", "InvocationStatus", "InvocationResults"}
    assert answer["InvocationStatus"] == "Failed"
    assert [one["InstanceId"] for one in answer["InvocationResults"]] == ["i-web1", "i-web2"]
    for result in answer["InvocationResults"]:
        assert set(result) >= RESULT_KEYS
        assert result["InvokeId"] == answer["InvokeId"]
        assert result["ExitCode"] == 4
        assert result["StandardOutput"] == "out"
        assert result["StandardError"] == "\ufffderr"
        assert sorted(base64.b64decode(result["OutputBase64"])) == sorted(b"out\xfferr")
        assert result["ErrorCode"] == "ExitCodeNonzero"


def test_without_waiting_the_id_is_all_there_is(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "true", "--all", "--no-wait").must_succeed()
    assert outcome.stdout.startswith("t-")
    assert outcome.stdout.count("\n") == 1
    assert f"assist invocation follow {outcome.stdout.strip()}" in outcome.stderr
    answer = fleet.assist("run", "true", "--all", "--no-wait", "--output", "json").must_succeed().json
    assert set(answer) == {"InvokeId", "CommandId", "InvocationStatus"}


def test_a_script_may_come_from_a_file_standard_input_or_base64(fleet: Fleet) -> None:
    (fleet.folder / "check.sh").write_bytes(b"echo from file")
    path = str(fleet.folder / "check.sh")
    assert fleet.assist("run", "--file", path, "--instance", "i-web1").stdout == "from file\n"
    assert fleet.assist("run", "-", "--instance", "i-web1", input="echo piped").stdout == "piped\n"
    assert fleet.assist("run", "--file", "-", "--instance", "i-web1", input="echo piped").stdout == "piped\n"
    assert fleet.assist("run", "--base64", "ZWNobyAxMjM=", "--instance", "i-web1").stdout == "123\n"


def test_a_parameter_reaches_the_script_whatever_is_in_it(fleet: Fleet) -> None:
    value = 'it\'s "$HOME" `id` 你好'
    script = 'printf %s "$CA_PARAM_WHO"'
    outcome = fleet.assist("run", script, "--instance", "i-web1", "--parameter", f"WHO={value}").must_succeed()
    assert outcome.stdout == value


def test_with_enable_parameter_the_text_is_filled_in_too(fleet: Fleet) -> None:
    arguments = ("--instance", "i-web1", "--enable-parameter", "--parameter", "who=you")
    assert fleet.assist("run", "echo {{ who }} $CA_PARAM_WHO", *arguments).must_succeed().stdout.startswith("you")
    assert fleet.assist("run", "echo '{{who}}'", "--instance", "i-web1").stdout == "{{who}}\n"


def test_options_reach_the_instance(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "pwd", "--instance", "i-web1", "--workdir", "/usr").must_succeed()
    assert outcome.stdout == "/usr\n"
    refused = fleet.assist("run", "pwd", "--instance", "i-web1", "--workdir", "/no/such/folder")
    assert refused.exit_code == 1
    assert "Invalid (DirectoryNotExists" in refused.stderr
    launched = fleet.assist(
        "run", "import sys; print(sys.version_info[0])", "--instance", "i-web1", "--launcher", "python3"
    )
    assert launched.must_succeed().stdout == "3\n"


def test_a_dry_run_starts_nothing(fleet: Fleet) -> None:
    marker = fleet.folder / "started"
    checked = fleet.assist("run", f"touch {marker}", "--instance", "i-web1", "--dry-run").must_succeed()
    assert "i-web1 Success, checked only: nothing ran" in checked.stderr
    assert not marker.exists()
    assert fleet.assist("run", "true", "--instance", "i-web1", "--dry-run", "--workdir", "/nowhere").exit_code == 1


def test_no_grace_is_none_and_not_that_of_the_agent(fleet: Fleet) -> None:
    deaf = f"trap '' TERM; echo deaf; {waiting_for(fleet.gate('never'))}"
    started = fleet.assist("run", deaf, "--instance", "i-web1", "--grace", "0", "--no-wait")
    invoke_id = started.must_succeed().stdout.strip()

    def results(*options: str) -> Any:
        return fleet.assist("invocation", "results", invoke_id, *options, "--output", "json").json

    with fleet.system.assist_running("invocation", "follow", invoke_id) as follower:
        follower.wait_for_line("^deaf$", within_seconds=10)
        fleet.assist("invocation", "stop", invoke_id).must_succeed()
        row = results("--wait", "20")["InvocationResults"][0]
    assert (row["InvocationStatus"], row["Signal"], row["Survivors"]) == ("Terminated", 9, 0)
    ended, stopped = (datetime.fromisoformat(row[name]) for name in ("FinishedTime", "StopTime"))
    # The agent's own grace is 5 s.
    assert ended - stopped < timedelta(seconds=4)


def test_a_kept_command_is_in_the_library_and_others_are_not(fleet: Fleet) -> None:
    kept = fleet.assist("run", "true", "--all", "--keep-command", "--name", "kept", "--output", "json").json
    loose = fleet.assist("run", "true", "--all", "--name", "loose", "--output", "json").json
    listed = [one["CommandId"] for one in fleet.assist("command", "list", "--output", "json").json]
    assert kept["CommandId"] in listed
    assert loose["CommandId"] not in listed


def test_a_client_token_makes_the_second_call_the_first(fleet: Fleet) -> None:
    arguments = ("run", "date +%N", "--instance", "i-web1", "--client-token", "once", "--output", "json")
    first, second = fleet.assist(*arguments).json, fleet.assist(*arguments).json
    assert first["InvokeId"] == second["InvokeId"]
    assert first["InvocationResults"] == second["InvocationResults"]
    other = fleet.assist("run", "other", "--instance", "i-web1", "--client-token", "once")
    assert other.exit_code == 4
    assert "(IdempotentParameterMismatch)" in other.stderr


def test_a_wait_that_is_too_short_is_exit_code_6_and_the_script_goes_on(fleet: Fleet) -> None:
    gate = fleet.gate("short")
    script = f"{waiting_for(gate)}; echo done"
    outcome = fleet.assist("run", script, "--instance", "i-web1", "--wait-timeout", "1")
    gate.touch()
    assert outcome.exit_code == 6
    assert outcome.stdout == ""
    invoke_id = outcome.stderr.rpartition("assist invocation follow ")[2].split()[0]
    followed = fleet.assist("invocation", "follow", invoke_id).must_succeed()
    assert followed.stdout == "done\n"


def test_a_wait_that_is_too_short_tells_a_program_the_state_so_far(fleet: Fleet) -> None:
    gate = fleet.gate("too-short")
    outcome = fleet.assist("run", waiting_for(gate), "--all", "--wait-timeout", "0.5", "--output", "json")
    gate.touch()
    assert outcome.exit_code == 6
    assert outcome.json["InvocationStatus"] in ("Pending", "Running")
    assert len(outcome.json["InvocationResults"]) == 2


def test_an_instance_that_is_away_is_reported_after_the_delivery_deadline(fleet: Fleet) -> None:
    fleet.system.register("i-away")
    try:
        start = time.monotonic()
        outcome = fleet.assist("run", "true", "--instance", "i-away", "--deliver-within", "1")
        assert outcome.exit_code == 1
        assert "Aborted (ClientNotRunning:" in outcome.stderr
        assert time.monotonic() - start < 15
    finally:
        fleet.assist("instance", "remove", "i-away").must_succeed()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("run", "true"), 2, "MissingParam.InstanceId"),
        (("run", "true", "--all", "--instance", "i-web1"), 2, "InvalidResourceTag.ConflictWithInstanceIds"),
        (("run", "true", "--tag", "env=test", "--instance", "i-web1"), 2, "InvalidResourceTag.ConflictWithInstanceIds"),
        (("run", "true", "--tag", "env=none"), 5, "InvalidResourceTag.InstanceNotFound"),
        (("run", "true", "--instance", "i-nobody"), 5, "InvalidInstance.NotFound"),
        (("run", "true", "--instance", "web1"), 5, "InvalidInstance.NotFound"),
        (("run", "", "--all"), 2, "MissingCommandContent"),
        (("run", "--base64", "%%%", "--all"), 2, "CmdContent.DecodeError"),
        (("run", "x" * 20_000, "--all"), 4, "CmdContent.ExceedLimit"),
        (("run", "true", "--all", "--timeout", "2d"), 4, "InvalidTimeout.ExceedLimit"),
        (("run", "true", "--all", "--deliver-within", "31d"), 2, "InvalidParameter.DeliverWithin"),
        (("run", "true", "--all", "--grace", "25h"), 2, "InvalidParameter.Grace"),
        (("run", "{{}}", "--all", "--enable-parameter"), 2, "CmdParam.EmptyKey"),
        (("run", "true", "--all", "--parameter", "a b=c"), 2, "CmdParam.InvalidParamName"),
        (("run", "true", "--all", "--client-token", "é"), 2, "InvalidClientToken.Malformed"),
        (("invoke", "c-nothing", "--all"), 5, "InvalidCmdId.NotFound"),
    ],
)
def test_a_bad_request_is_one_line_with_its_code(
    fleet: Fleet, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    for form in ("text", "json"):
        outcome = fleet.assist(*arguments, "--output", form)
        assert outcome.exit_code == exit_code, str(outcome)
        assert outcome.stdout == ""
        assert outcome.stderr.startswith("assist: ")
        assert outcome.stderr.endswith(f"({code})\n")
        assert outcome.stderr.count("\n") == 1


def test_the_wrong_type_for_the_system_is_a_result_of_the_instance(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "dir", "--instance", "i-web1", "--type", "RunBatScript", "--output", "json")
    assert outcome.exit_code == 1
    result = json.loads(outcome.stdout)["InvocationResults"][0]
    assert (result["InvocationStatus"], result["ErrorCode"]) == ("Invalid", "CommandNotApplicable")


@pytest.mark.parametrize("option", ["--user", "--workdir", "--launcher", "--client-token"])
def test_an_unset_variable_is_not_taken_for_the_default(fleet: Fleet, option: str) -> None:
    marker = fleet.folder / "ran"
    verbs = (("run", f"touch {marker}", "--all"), ("command", "create", f"touch {marker}", "--name", "unset"))
    for verb in (*verbs, ("invoke", "c-nothing", "--all")):
        outcome = fleet.assist(*verb, option, "")
        assert (outcome.exit_code, outcome.stdout) == (2, ""), str(outcome)
        assert f"'{option}': it is empty" in outcome.stderr
    assert not marker.exists()


def test_an_empty_owner_is_not_taken_for_root(fleet: Fleet) -> None:
    for option in ("--owner", "--group"):
        outcome = fleet.assist(
            "file", "send", "-", "--name", "f", "--to", str(fleet.folder / "sent"), "--all", option, "", input="x"
        )
        assert (outcome.exit_code, outcome.stdout) == (2, "")
        assert f"'{option}': it is empty" in outcome.stderr
    assert not (fleet.folder / "sent").exists()
