"""``assist command …`` and invoking what is stored."""

import base64

from e2e.cli.conftest import Fleet


def create(fleet: Fleet, *arguments: str) -> str:
    return fleet.assist("command", "create", *arguments).must_succeed().stdout.strip()


def test_a_command_is_created_shown_invoked_modified_and_deleted(fleet: Fleet) -> None:
    command_id = create(fleet, "--base64", "ZWNobyAxMjM=", "--name", "hello", "--description", "says it")
    assert command_id.startswith("c-")

    shown = fleet.assist("command", "show", command_id, "--output", "json").must_succeed().json
    assert shown["CommandId"] == command_id
    assert shown["CommandContent"] == "echo 123"
    assert shown["CommandContentBase64"] == "ZWNobyAxMjM="
    assert (shown["Name"], shown["Type"], shown["Timeout"]) == ("hello", "RunShellScript", 60)

    outcome = fleet.assist("invocation", "create", command_id, "--instance", "i-web1", "--output", "json")
    result = outcome.must_succeed().json["InvocationResults"][0]
    assert base64.b64decode(result["OutputBase64"]) == b"123\n"
    assert fleet.assist("invoke", command_id, "--instance", "i-web1").must_succeed().stdout == "123\n"

    fleet.assist("command", "modify", command_id, "--name", "greeting", "--timeout", "2m").must_succeed()
    text = fleet.assist("command", "show", command_id).must_succeed().stdout
    assert "greeting" in text
    assert "2 min" in text
    assert text.endswith("\n\necho 123\n")

    fleet.assist("command", "delete", command_id).must_succeed()
    gone = fleet.assist("command", "show", command_id)
    assert gone.exit_code == 5
    assert gone.stderr.endswith("(InvalidCmdId.NotFound)\n")


def test_json_answers_of_changes_name_what_was_changed(fleet: Fleet) -> None:
    created = fleet.assist("command", "create", "true", "--name", "x", "--output", "json").must_succeed().json
    assert set(created) == {"CommandId"}
    command_id = created["CommandId"]
    changed = fleet.assist("command", "modify", command_id, "--name", "y", "--output", "json").must_succeed().json
    assert (changed["CommandId"], changed["Name"]) == (command_id, "y")
    deleted = fleet.assist("command", "delete", command_id, "--output", "json").must_succeed().json
    assert deleted == [{"CommandId": command_id}]


def test_a_list_can_be_filtered_and_paged(fleet: Fleet) -> None:
    ids = [create(fleet, "true", "--name", f"paged {number}", "--tag", "set=paged") for number in range(5)]
    newest_first = ids[::-1]

    def listed(*arguments: str) -> list[str]:
        outcome = fleet.assist("command", "list", "--tag", "set=paged", "--output", "json", *arguments)
        return [one["CommandId"] for one in outcome.must_succeed().json]

    assert listed() == newest_first
    assert listed("--limit", "2") == newest_first[:2]
    assert listed("--limit", "2", "--page", "3") == newest_first[4:]
    assert listed("--name", "paged 3") == [ids[3]]
    assert listed("--name", "*4", "--type", "RunShellScript") == [ids[4]]
    assert listed("--type", "RunBatScript") == []
    text = fleet.assist("command", "list", "--tag", "set=paged", "--limit", "2").must_succeed()
    assert text.stdout.splitlines()[0].split() == ["COMMAND", "CREATED", "TYPE", "INVOKED", "NAME"]
    assert "1 to 2 of 5 commands; --page 2 shows more" in text.stderr


def test_parameters_of_a_stored_command_are_checked_when_it_is_invoked(fleet: Fleet) -> None:
    command_id = create(fleet, 'echo "hello $CA_PARAM_WHO"', "--name", "greet", "--parameter", "WHO")
    target = ("--instance", "i-web1")
    assert fleet.assist("invoke", command_id, *target, "--parameter", "WHO=me").must_succeed().stdout == "hello me\n"
    wrong = fleet.assist("invoke", command_id, *target, "--parameter", "WHOM=me")
    assert wrong.exit_code == 2
    assert wrong.stderr.endswith("(Parameter.NotMatched)\n")
    plain = create(fleet, "true", "--name", "plain")
    disabled = fleet.assist("invoke", plain, *target, "--parameter", "A=b")
    assert disabled.exit_code == 2
    assert disabled.stderr.endswith("(Parameter.Disabled)\n")


def test_a_command_in_use_is_not_deleted(fleet: Fleet) -> None:
    command_id = create(fleet, "sleep 30", "--name", "busy")
    invoke_id = fleet.assist("invoke", command_id, "--instance", "i-web1", "--no-wait").must_succeed().stdout.strip()
    refused = fleet.assist("command", "delete", command_id)
    assert refused.exit_code == 4
    assert refused.stderr.endswith("(InvalidStatus.CmdIdInUse)\n")
    fleet.assist("invocation", "stop", invoke_id, "--wait").must_succeed()
    fleet.assist("command", "delete", command_id).must_succeed()


def test_a_bad_command_is_refused_with_its_code(fleet: Fleet) -> None:
    for arguments, exit_code, code in (
        (("true", "--name", ""), 2, "MissingName"),
        (("true", "--name", "x" * 129), 4, "CmdName.ExceedLimit"),
        (("true", "--name", "x", "--tag", "acs:x=1"), 2, "InvalidTagKey.Malformed"),
        (("true", "--name", "x", "--parameter", "a b"), 2, "CmdParam.InvalidParamName"),
        (("{{a b!}}", "--name", "x", "--enable-parameter"), 2, "CmdParam.InvalidParamName"),
        (("--base64", "==", "--name", "x"), 2, "CmdContent.DecodeError"),
        (("x" * 20_000, "--name", "x"), 4, "CmdContent.ExceedLimit"),
    ):
        outcome = fleet.assist("command", "create", *arguments)
        assert (outcome.exit_code, outcome.stdout) == (exit_code, ""), str(outcome)
        assert outcome.stderr.endswith(f"({code})\n"), str(outcome)


def test_a_command_is_known_by_its_name_too_as_long_as_only_one_has_it(fleet: Fleet) -> None:
    command_id = create(fleet, "echo by name", "--name", "known by name")
    assert fleet.assist("invoke", "known by name", "--instance", "i-web1").must_succeed().stdout == "by name\n"
    shown = fleet.assist("command", "show", "known by name", "--output", "json").must_succeed().json
    assert shown["CommandId"] == command_id

    twin_id = create(fleet, "echo twin", "--name", "known by name")
    refused = fleet.assist("invoke", "known by name", "--instance", "i-web1")
    assert refused.exit_code == 4
    assert command_id in refused.stderr
    assert twin_id in refused.stderr

    unknown = fleet.assist("command", "delete", twin_id, "nobody has this name")
    assert unknown.exit_code == 5
    fleet.assist("command", "delete", twin_id).must_succeed()
    fleet.assist("command", "delete", "known by name").must_succeed()
    assert fleet.assist("command", "show", command_id).exit_code == 5
