"""What the actions promise, through the gateway, with real agents."""

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from e2e.gateway.real_gateway import RealGateway, text_of


def command(real: RealGateway, script: str = "echo 123", **named: str) -> str:
    content = base64.b64encode(script.encode()).decode()
    answer = real.call("CreateCommand", Name="test", Type="RunShellScript", CommandContent=content, **named)
    command_id: str = answer["CommandId"]
    return command_id


def code_of(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["Code"]


def test_a_stored_command_runs_on_both_instances_and_both_shapes_tell_so(real: RealGateway) -> None:
    command_id = command(real)
    invoke_id = real.call("InvokeCommand", {"CommandId": command_id, "InstanceId.1": "i-one", "InstanceId.2": "i-two"})[
        "InvokeId"
    ]
    results = real.results(invoke_id)
    assert [one["InstanceId"] for one in results] == ["i-one", "i-two"]
    invocation = real.call("DescribeInvocationResults", InvokeId=invoke_id)["Invocation"]
    assert invocation["Status"] == "Finished"
    assert invocation["TotalCount"] == 2
    for item, result in zip(invocation["ResultLists"]["ResultItem"], results, strict=True):
        assert item == {name: result[name] for name in ("InstanceId", "FinishedTime", "Output", "ExitCode")}
        assert item["Output"] == "MTIzCg=="
    (described,) = real.call("DescribeInvocations", InvokeId=invoke_id)["Invocations"]["Invocation"]
    assert (described["InvocationStatus"], described["InvokeStatus"]) == ("Success", "Finished")
    assert described["CommandContent"] == base64.b64encode(b"echo 123").decode()
    assert described["InvokeInstances"]["InvokeInstance"][0]["Output"] == ""
    (with_output,) = real.call("DescribeInvocations", InvokeId=invoke_id, IncludeOutput="true")["Invocations"][
        "Invocation"
    ]
    assert with_output["InvokeInstances"]["InvokeInstance"][0]["Output"] == "MTIzCg=="


def test_exit_code_1_is_failed_in_the_new_word_and_finished_in_the_old_one(real: RealGateway) -> None:
    (result,) = real.results(real.run("echo gone; exit 1"))
    assert (result["InvocationStatus"], result["InvokeRecordStatus"]) == ("Failed", "Finished")
    assert (result["ExitCode"], result["ErrorCode"]) == (1, "ExitCodeNonzero")


def test_plain_text_is_shown_when_asked_for(real: RealGateway) -> None:
    invoke_id = real.run("printf '你好 %s' $1")
    real.results(invoke_id)
    answer = real.call("DescribeInvocationResults", InvokeId=invoke_id, ContentEncoding="PlainText")
    (result,) = answer["Invocation"]["InvocationResults"]["InvocationResult"]
    assert result["Output"] == "你好 "


def test_parameters_fill_the_content(real: RealGateway) -> None:
    invoke_id = real.run("echo {{name}} {{ACS::InstanceId}}", EnableParameter="True", Parameters='{"name": "Jack"}')
    (result,) = real.results(invoke_id)
    assert text_of(result) == "Jack i-one\n"


def test_a_command_of_a_run_is_kept_only_when_asked(real: RealGateway) -> None:
    for keep, count in (("false", 0), ("True", 1)):
        answer = real.call(
            "RunCommand",
            {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "i-one", "KeepCommand": keep},
        )
        found = real.call("DescribeCommands", CommandId=answer["CommandId"])["Commands"]["Command"]
        assert len(found) == count


def test_waiting_ends_as_soon_as_the_result_is_there(real: RealGateway) -> None:
    invoke_id = real.run("sleep 1; echo done")
    states: list[str] = []
    started = time.monotonic()
    while not states or states[-1] in ("Pending", "Running"):
        answer = real.call("DescribeInvocationResults", InvokeId=invoke_id, WaitSeconds="20")
        states.append(answer["Invocation"]["InvocationResults"]["InvocationResult"][0]["InvocationStatus"])
    assert states[-1] == "Success"
    assert time.monotonic() - started < 4
    # Pending → Running → Success: each answer brought news, none was a mere repetition.
    assert len(states) <= 3


def test_waiting_ends_with_its_time_when_nothing_changes(real: RealGateway) -> None:
    invoke_id = real.run("sleep 30")
    real.call("DescribeInvocationResults", InvokeId=invoke_id, WaitSeconds="1")
    started = time.monotonic()
    real.call("DescribeInvocationResults", InvokeId=invoke_id, WaitSeconds="1")
    assert 0.9 <= time.monotonic() - started < 4
    real.call("StopInvocation", InvokeId=invoke_id)
    (result,) = real.results(invoke_id)
    assert (result["InvocationStatus"], result["InvokeRecordStatus"]) == ("Terminated", "Stopped")
    assert result["StopTime"]


def test_a_stop_for_a_stranger_or_a_finished_one(real: RealGateway) -> None:
    invoke_id = real.run("true")
    real.results(invoke_id)
    real.call("StopInvocation", InvokeId=invoke_id)
    assert code_of(real.try_call("StopInvocation", {"InvokeId": invoke_id, "InstanceId.1": "i-two"})) == (
        404,
        "InvalidInstanceId.NotFound",
    )


def test_the_same_token_runs_once(real: RealGateway) -> None:
    first = real.run("true", ClientToken="token-one")
    assert real.run("true", ClientToken="token-one") == first
    other = {"Type": "RunShellScript", "CommandContent": "false", "InstanceId.1": "i-one", "ClientToken": "token-one"}
    assert code_of(real.try_call("RunCommand", other)) == (403, "IdempotentParameterMismatch")
    assert real.run("true", ClientToken="token-two") != first


def test_pages_by_token_and_by_number_are_the_same(real: RealGateway) -> None:
    ids = [command(real, f"echo {number}", Description="paged") for number in range(7)]
    by_number, by_token = [], []
    for number in ("1", "2", "3"):
        answer = real.call("DescribeCommands", Description="paged", PageSize="3", PageNumber=number)
        by_number += [one["CommandId"] for one in answer["Commands"]["Command"]]
        assert answer["TotalCount"] == 7
    token = ""
    while True:
        answer = real.call("DescribeCommands", Description="paged", MaxResults="3", NextToken=token)
        by_token += [one["CommandId"] for one in answer["Commands"]["Command"]]
        token = answer["NextToken"]
        if not token:
            break
    assert by_number == by_token == list(reversed(ids))
    mixed = real.call("DescribeCommands", Description="paged", PageNumber="2", PageSize="2", MaxResults="3")
    assert [one["CommandId"] for one in mixed["Commands"]["Command"]] == by_token[:3], "the newer style counts"


def test_a_token_is_good_for_its_query_alone(real: RealGateway) -> None:
    for number in range(2):
        command(real, f"echo {number}", Description="token")
    token = real.call("DescribeCommands", Description="token", MaxResults="1")["NextToken"]
    assert token
    for wanted in ({"Description": "else", "NextToken": token}, {"Description": "token", "NextToken": token[:-4]}):
        assert code_of(real.try_call("DescribeCommands", wanted)) == (400, "InvalidParameter.NextToken")


def test_a_dry_run_checks_and_runs_nothing(real: RealGateway, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    (good,) = real.results(real.run(f"touch {witness}", RepeatMode="DryRun"))
    (bad,) = real.results(real.run("true", RepeatMode="DryRun", Username="nobody-of-this-name"))
    assert (good["InvocationStatus"], good["Output"]) == ("Success", "")
    assert (bad["InvocationStatus"], bad["ErrorCode"]) == ("Invalid", "AccountNotExists")
    assert not witness.exists()


def test_instances_are_described_with_their_agents(real: RealGateway) -> None:
    answer = real.call("DescribeInstances", InstanceIds='["i-two", "i-absent"]')
    (instance,) = answer["Instances"]["Instance"]
    assert (instance["InstanceId"], instance["Status"], instance["OSType"]) == ("i-two", "Running", "linux")
    answer = real.call("DescribeCloudAssistantStatus", {"InstanceId.1": "i-one"})
    (status,) = answer["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
    assert status["CloudAssistantStatus"] == "true"
    assert status["LastHeartbeatTime"]
    real.call("InstallCloudAssistant", {"InstanceId.1": "i-one"})
    absent = {"InstanceId.1": "i-absent"}
    assert code_of(real.try_call("InstallCloudAssistant", absent)) == (404, "InvalidInstance.NotFound")
    assert real.call("DescribeRegions")["Regions"]["Region"][0]["RegionId"] == "local"


def test_tags_target_instances_and_are_listed(real: RealGateway) -> None:
    named = {"ResourceType": "instance", "ResourceId.1": "i-one", "Tag.1.Key": "tier", "Tag.1.Value": "web"}
    real.call("TagResources", named)
    listed = real.call("ListTagResources", {"ResourceType": "instance", "Tag.1.Key": "tier"})
    entry = {"ResourceId": "i-one", "ResourceType": "instance", "TagKey": "tier", "TagValue": "web"}
    assert listed["TagResources"]["TagResource"] == [entry]
    answer = real.call(
        "RunCommand",
        {
            "Type": "RunShellScript",
            "CommandContent": "true",
            "ResourceTag.1.Key": "tier",
            "ResourceTag.1.Value": "web",
        },
    )
    assert [one["InstanceId"] for one in real.results(answer["InvokeId"])] == ["i-one"]
    real.call("UntagResources", {"ResourceType": "instance", "ResourceId.1": "i-one", "TagKey.1": "tier"})
    listed = real.call("ListTagResources", {"ResourceType": "instance", "ResourceId.1": "i-one"})
    assert listed["TagResources"]["TagResource"] == []


@pytest.mark.parametrize("kind", ["command", "invocation"])
def test_commands_and_invocations_are_tagged_later(real: RealGateway, kind: str) -> None:
    item_id = command(real) if kind == "command" else real.run("true")
    real.call("TagResources", {"ResourceType": kind, "ResourceId.1": item_id, "Tag.1.Key": "late", "Tag.1.Value": kind})
    action, wrapper, entry = (
        ("DescribeCommands", "Commands", "Command")
        if kind == "command"
        else ("DescribeInvocations", "Invocations", "Invocation")
    )
    (found,) = real.call(action, {"Tag.1.Key": "late", "Tag.1.Value": kind})[wrapper][entry]
    assert found["Tags"] == {"Tag": [{"TagKey": "late", "TagValue": kind}]}


def test_what_is_in_use_cannot_be_deleted(real: RealGateway) -> None:
    command_id = command(real, "sleep 20")
    invoke_id = real.call("InvokeCommand", {"CommandId": command_id, "InstanceId.1": "i-one"})["InvokeId"]
    in_use = real.try_call("DeleteCommand", {"CommandId": command_id})
    assert code_of(in_use) == (403, "InvalidStatus.CmdIdInUse")
    real.call("StopInvocation", InvokeId=invoke_id)
    real.results(invoke_id)
    real.call("DeleteCommand", CommandId=command_id)
    assert real.call("DescribeCommands", CommandId=command_id)["Commands"]["Command"] == []


def test_a_modified_command_runs_as_modified(real: RealGateway, tmp_path: Path) -> None:
    command_id = command(real, "pwd")
    real.call("ModifyCommand", CommandId=command_id, Name="changed", WorkingDir=str(tmp_path), CommandContent="ignored")
    invoke_id = real.call("InvokeCommand", {"CommandId": command_id, "InstanceId.1": "i-one"})["InvokeId"]
    (result,) = real.results(invoke_id)
    assert text_of(result).strip() == str(tmp_path)
    (shown,) = real.call("DescribeCommands", CommandId=command_id)["Commands"]["Command"]
    assert (shown["Name"], shown["InvokeTimes"]) == ("changed", 1)


def test_an_action_we_do_not_have_is_said_so(real: RealGateway) -> None:
    assert code_of(real.try_call("DescribeDisks", {})) == (404, "InvalidAction.NotFound")
