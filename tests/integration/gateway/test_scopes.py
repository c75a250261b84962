"""Access keys that are limited to instances, commands, accounts or actions: what they may not do, and not see."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.entry import decode_entry
from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.gateway.actions.table import action_registry
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.security.access_keys import AccessKeys
from cloud_assistant.producer.security.known_actions import KNOWN_ACTIONS
from cloud_assistant.producer.security.scopes import Scope, checked
from harness.redis_server import RedisServer

MASTER = new_master_keys()
TEST = Scope(instance_tags={"env": "test"})
RUN = {"Type": "RunShellScript", "CommandContent": "true"}


@dataclass(frozen=True)
class Scene:
    """Two instances, mi-test and mi-prod, a command, and an invocation of it on each and on both."""

    gateway: WholeGateway
    assistant: Assistant
    command_id: str
    other_command_id: str
    on_test: str
    on_prod: str
    on_both: str

    def key(self, scope: Scope, role: str = "admin") -> Callable[..., tuple[int, dict[str, Any]]]:
        """Make a key and answer what calls the gateway with it."""
        key_id, secret = AccessKeys(self.assistant.redis, MASTER).create("limited", role, scope)

        def call(action: str, **parameters: str) -> tuple[int, dict[str, Any]]:
            given = {"RegionId": "local", **{name.replace("__", "."): value for name, value in parameters.items()}}
            status, body = self.gateway.post(v1_query(action, given, secret=secret, AccessKeyId=key_id))
            return status, json.loads(body)

        return call


@pytest.fixture
def scene(redis_server: RedisServer, tmp_path: Path) -> Iterator[Scene]:
    home = tmp_path / "home"
    write_master_keys(home / "master-key.json", MASTER)
    with whole_gateway(redis_server.url(), home) as gateway:
        assistant = gateway.assistant
        assistant.add_instance("mi-test", tags={"env": "test"})
        assistant.add_instance("mi-prod", tags={"env": "prod"})
        command_id = assistant.create_command(name="x", type="RunShellScript", content="true", username="deploy")
        other = assistant.create_command(name="y", type="RunShellScript", content="true")

        def invoke(command: str, *ids: str) -> str:
            return assistant.invoke_command(command, Targets(instance_ids=ids)).invoke_id

        yield Scene(
            gateway,
            assistant,
            command_id,
            other,
            invoke(command_id, "mi-test"),
            invoke(other, "mi-prod"),
            invoke(command_id, "mi-test", "mi-prod"),
        )


def refused(answer: tuple[int, dict[str, Any]], rule: str) -> bool:
    status, body = answer
    return status == 403 and body["Code"] == "Forbidden.RAM" and rule in body["Message"]


def test_a_key_limited_to_a_tag_runs_there_and_nowhere_else(scene: Scene) -> None:
    call = scene.key(TEST)
    assert call("RunCommand", **RUN, InstanceId__1="mi-test")[0] == 200
    assert call("InvokeCommand", CommandId=scene.command_id, InstanceId__1="mi-test")[0] == 200
    for parameters in (
        {"InstanceId__1": "mi-prod"},
        {"InstanceId__1": "mi-test", "InstanceId__2": "mi-prod"},
        {"ResourceTag__1__Key": "env", "ResourceTag__1__Value": "prod"},
        {"ResourceTag__1__Key": "env"},
        {"InstanceId__1": "mi-unknown"},
    ):
        assert refused(call("RunCommand", **RUN, **parameters), "instance-tag=env=test"), parameters
        invoke = call("InvokeCommand", CommandId=scene.command_id, **parameters)
        assert refused(invoke, "instance-tag=env=test"), parameters
        file = {"Name": "a", "TargetDir": "/tmp", "Content": "x", **parameters}
        if "InstanceId__1" in parameters:
            assert refused(call("SendFile", **file), "instance-tag=env=test"), parameters


def test_a_refusal_tells_a_limited_key_of_no_instance_that_it_has_not_named(scene: Scene) -> None:
    call = scene.key(TEST)
    there = [{"ResourceTag__1__Key": "env"}, {"ResourceTag__1__Key": "env", "ResourceTag__1__Value": "prod"}]
    nowhere = {"ResourceTag__1__Key": "env", "ResourceTag__1__Value": "none"}
    told = [call("RunCommand", **RUN, **tags) for tags in (*there, nowhere)]
    told += [call("InvokeCommand", CommandId=scene.command_id, **tags) for tags in (*there, nowhere)]
    # The same, whether anybody carries the tag or nobody does.
    assert len({(status, body["Code"], body["Message"]) for status, body in told}) == 1
    assert refused(told[0], "env=test")
    told.append(call("StopInvocation", InvokeId=scene.on_both))
    told.append(call("ModifyInvocationAttribute", InvokeId=scene.on_both, Frequency="0 0 3 * * *"))
    for answer in told:
        assert refused(answer, "env=test")
        assert "mi-prod" not in json.dumps(answer)


def test_a_key_limited_to_a_tag_finds_its_instances_by_that_tag_and_others(scene: Scene) -> None:
    call = scene.key(TEST)
    scene.assistant.add_instance("mi-web", tags={"env": "test", "role": "web"})
    scene.assistant.add_instance("mi-prod-web", tags={"env": "prod", "role": "web", "only": "there"})
    web = {"ResourceTag__1__Key": "role", "ResourceTag__1__Value": "web"}
    own = {"ResourceTag__2__Key": "env", "ResourceTag__2__Value": "test"}
    assert refused(call("RunCommand", **RUN, **web), "env=test")
    assert refused(call("RunCommand", **RUN, **web, ResourceTag__2__Key="env"), "env=test")
    status, answer = call("RunCommand", **RUN, **web, **own)
    assert status == 200
    (listed,) = call("DescribeInvocations", InvokeId=answer["InvokeId"])[1]["Invocations"]["Invocation"]
    assert [one["InstanceId"] for one in listed["InvokeInstances"]["InvokeInstance"]] == ["mi-web"]
    status, answer = call("RunCommand", **RUN, ResourceTag__1__Key="only", **own)
    assert answer["Code"] == "InvalidResourceTag.InstanceNotFound"
    # A tag that only its own instances carry is enough.
    scene.assistant.modify_instance("mi-web", tags={"env": "test", "role": "db"})
    assert call("RunCommand", **RUN, ResourceTag__1__Key="role", ResourceTag__1__Value="db")[0] == 200


def test_a_refusal_is_in_the_audit_with_the_key(scene: Scene) -> None:
    call = scene.key(TEST)
    call("RunCommand", **RUN, InstanceId__1="mi-prod")
    last = decode_entry(scene.assistant.redis.call("XREVRANGE", keys.AUDIT, "+", "-", "COUNT", 1)[0][1][3])
    assert (last.action, last.outcome, last.code, last.what) == ("RunCommand", "refused", "Forbidden.RAM", "mi-prod")


def test_a_key_limited_to_a_tag_stops_only_what_runs_there(scene: Scene) -> None:
    call = scene.key(TEST)
    assert refused(call("StopInvocation", InvokeId=scene.on_prod), "env=test")
    assert refused(call("StopInvocation", InvokeId=scene.on_both), "env=test")
    for named in ({"InstanceId__1": "mi-prod"}, {"InstanceId__1": "mi-test", "InstanceId__2": "mi-prod"}):
        assert refused(call("StopInvocation", InvokeId=scene.on_both, **named), "does not include instance mi-prod")
    assert call("StopInvocation", InvokeId=scene.on_both, InstanceId__1="mi-test")[0] == 200
    assert call("StopInvocation", InvokeId=scene.on_test)[0] == 200


def test_a_key_limited_to_a_tag_sees_no_results_of_others(scene: Scene) -> None:
    call = scene.key(TEST, "viewer")
    listed = call("DescribeInvocations")[1]["Invocations"]["Invocation"]
    assert {one["InvokeId"] for one in listed} == {scene.on_test, scene.on_both}
    shown = {row["InstanceId"] for one in listed for row in one["InvokeInstances"]["InvokeInstance"]}
    assert shown == {"mi-test"}
    for parameters in (
        {},
        {"InvokeId": scene.on_both},
        {"InvokeId": scene.on_prod},
        {"InvokeId": scene.on_both, "IncludeHistory": "true"},
        {"InstanceId": "mi-prod"},
        {"InvokeId": scene.on_prod, "InstanceId": "mi-prod"},
        {"CommandId": scene.command_id},
        {"MaxResults": "1"},
    ):
        answer = call("DescribeInvocationResults", **parameters)[1]["Invocation"]
        results = answer["InvocationResults"]["InvocationResult"]
        assert {one["InstanceId"] for one in results} <= {"mi-test"}, parameters
        if scene.on_prod in parameters.values():
            assert (answer["TotalCount"], answer["Status"]) == (0, "")
    assert call("DescribeInvocations", InvokeId=scene.on_prod)[1]["Invocations"]["Invocation"] == []


def test_the_state_of_the_whole_tells_nothing_of_others(scene: Scene) -> None:
    scene.assistant.add_instance("mi-more", tags={"env": "test"})
    targets = Targets(instance_ids=("mi-test", "mi-more", "mi-prod"))
    invoke_id = scene.assistant.invoke_command(scene.command_id, targets).invoke_id
    for one in ("mi-test", "mi-more"):
        row = keys.execution(one, execution_id(invoke_id, 0, one))
        scene.assistant.redis.call("HSET", row, "state", "Success")
    # A page that is not the whole.
    asked = {"InvokeId": invoke_id, "MaxResults": "1"}
    assert scene.key(TEST, "viewer")("DescribeInvocationResults", **asked)[1]["Invocation"]["Status"] == "Finished"
    assert scene.key(Scope(), "viewer")("DescribeInvocationResults", **asked)[1]["Invocation"]["Status"] == "Running"
    for status, found in (("Success", [invoke_id]), ("Finished", [invoke_id]), ("Running", []), ("Pending", [])):
        listed = scene.key(TEST, "viewer")("DescribeInvocations", InvokeId=invoke_id, InvokeStatus=status)[1]
        assert [one["InvokeId"] for one in listed["Invocations"]["Invocation"]] == found, status


def test_a_key_limited_to_a_tag_sees_no_other_instances(scene: Scene) -> None:
    call = scene.key(TEST, "viewer")
    page = call("DescribeInstances")[1]
    assert ([one["InstanceId"] for one in page["Instances"]["Instance"]], page["TotalCount"]) == (["mi-test"], 1)
    assert call("DescribeInstances", InstanceIds='["mi-prod"]')[1]["Instances"]["Instance"] == []
    statuses = call("DescribeCloudAssistantStatus")[1]["InstanceCloudAssistantStatusSet"]
    assert [one["InstanceId"] for one in statuses["InstanceCloudAssistantStatus"]] == ["mi-test"]
    assert call("DescribeCloudAssistantStatus", InstanceId__1="mi-prod")[0] == 404
    managed = call("DescribeManagedInstances")[1]["Instances"]
    assert [one["InstanceId"] for one in managed] == ["mi-test"]
    assert call("DescribeManagedInstances", InstanceId__1="mi-prod")[1]["Instances"] == []
    assert refused(call("ListTagResources", ResourceType="instance", ResourceId__1="mi-prod"), "env=test")
    assert call("ListTagResources", ResourceType="instance", ResourceId__1="mi-test")[0] == 200
    assert refused(call("ListTagResources", ResourceType="instance", Tag__1__Key="env"), "env=test")
    of_managed = {"ResourceType": "managedinstance", "ResourceId__1": "mi-test"}
    assert call("ListTagResources", **of_managed)[0] == 200
    assert refused(call("ListTagResources", **of_managed, ResourceId__2="mi-prod"), "env=test")
    # The library it sees as a whole.
    assert call("ListTagResources", ResourceType="command", Tag__1__Key="env")[0] == 200


def test_a_key_limited_to_a_tag_cannot_move_instances_into_its_reach(scene: Scene) -> None:
    call = scene.key(TEST)
    tag = {"Tag__1__Key": "env", "Tag__1__Value": "test"}
    assert refused(call("TagResources", ResourceType="instance", ResourceId__1="mi-prod", **tag), "env=test")
    of_command = {"ResourceType": "command", "ResourceId__1": scene.command_id}
    assert refused(call("TagResources", **of_command, **tag), "no tags of command")
    assert refused(call("UntagResources", ResourceType="instance", ResourceId__1="mi-test", All="true"), "env=test")
    assert refused(call("CreateActivation", InstanceCount="1", **tag), "whole fleet")


def test_a_key_limited_to_commands_invokes_these_and_runs_nothing_else(scene: Scene) -> None:
    call = scene.key(Scope(command_ids=[scene.command_id]))
    rule = f"command={scene.command_id}"
    assert call("InvokeCommand", CommandId=scene.command_id, InstanceId__1="mi-prod")[0] == 200
    assert refused(call("InvokeCommand", CommandId=scene.other_command_id, InstanceId__1="mi-prod"), rule)
    assert refused(call("RunCommand", **RUN, InstanceId__1="mi-prod"), rule)
    assert refused(call("CreateCommand", Name="z", **RUN), rule)
    assert refused(call("DeleteCommand", CommandId=scene.other_command_id), rule)
    assert refused(call("ModifyCommand", CommandId=scene.other_command_id, Name="z"), rule)
    file = {"Name": "a", "TargetDir": "/tmp", "Content": "x"}
    assert refused(call("SendFile", **file, InstanceId__1="mi-prod"), rule)
    assert refused(call("StopInvocation", InvokeId=scene.on_prod), rule)
    assert refused(call("DeregisterManagedInstance", InstanceId="mi-prod"), "whole fleet")
    # A launcher is a command line of its own.
    launched = {"CommandId": scene.command_id, "Launcher": "sh -c 'evil' #"}
    assert refused(call("InvokeCommand", **launched, InstanceId__1="mi-prod"), rule)
    assert refused(call("ModifyCommand", **launched), rule)
    scene.assistant.modify_command(scene.command_id, launcher="nice sh")
    stored = {"CommandId": scene.command_id, "Launcher": "nice sh"}
    assert call("InvokeCommand", **stored, InstanceId__1="mi-prod")[0] == 200
    assert call("ModifyCommand", **stored)[0] == 200
    assert refused(call("ModifyCommand", CommandId=scene.command_id, Launcher=""), rule)
    commands = call("DescribeCommands")[1]
    assert [one["CommandId"] for one in commands["Commands"]["Command"]] == [scene.command_id]
    results = call("DescribeInvocationResults")[1]["Invocation"]["InvocationResults"]["InvocationResult"]
    assert {one["CommandId"] for one in results} == {scene.command_id}
    listed = call("DescribeInvocations")[1]["Invocations"]["Invocation"]
    assert {one["CommandId"] for one in listed} == {scene.command_id}
    for asked in ({"InvokeId": scene.on_prod}, {"CommandId": scene.other_command_id}):
        assert call("DescribeInvocations", **asked)[1]["Invocations"]["Invocation"] == []
        assert call("DescribeInvocationResults", **asked)[1]["Invocation"]["TotalCount"] == 0
    # Of a file nothing is stored either.
    assert scene.key(Scope())("SendFile", **file, InstanceId__1="mi-prod")[0] == 200
    assert call("DescribeSendFileResults")[1]["Invocations"]["Invocation"] == []
    assert call("ModifyCommand", CommandId=scene.command_id, Name="renamed")[0] == 200


def test_a_key_limited_to_commands_sees_no_results_of_others_that_outlive_their_invocation(scene: Scene) -> None:
    # Redis was restarted empty, and agents have delivered their results since.
    for one in (scene.on_prod, scene.on_both):
        scene.assistant.redis.call("DEL", keys.invocation(one), keys.invocation_targets(one))

    def shown(scope: Scope) -> set[str]:
        answer = scene.key(scope, "viewer")("DescribeInvocationResults", InstanceId="mi-prod")[1]["Invocation"]
        return {one["InvokeId"] for one in answer["InvocationResults"]["InvocationResult"]}

    assert shown(Scope()) == {scene.on_prod, scene.on_both}
    assert shown(Scope(command_ids=[scene.command_id])) == {scene.on_both}


def test_a_key_limited_to_an_account_runs_as_no_other(scene: Scene) -> None:
    call = scene.key(Scope(user_names=["deploy"]))
    rule = "user-name=deploy"
    assert call("RunCommand", **RUN, InstanceId__1="mi-prod", Username="deploy")[0] == 200
    assert refused(call("RunCommand", **RUN, InstanceId__1="mi-prod", Username="root"), rule)
    assert refused(call("RunCommand", **RUN, InstanceId__1="mi-prod"), rule)
    assert call("InvokeCommand", CommandId=scene.command_id, InstanceId__1="mi-prod")[0] == 200
    assert refused(call("InvokeCommand", CommandId=scene.command_id, InstanceId__1="mi-prod", Username="root"), rule)
    assert refused(call("InvokeCommand", CommandId=scene.other_command_id, InstanceId__1="mi-prod"), rule)
    assert refused(call("ModifyCommand", CommandId=scene.other_command_id, Launcher="evil"), rule)
    file = {"Name": "a", "TargetDir": "/etc", "Content": "x", "InstanceId__1": "mi-prod"}
    assert refused(call("SendFile", **file), rule)
    assert refused(call("SendFile", **file, FileOwner="root"), rule)
    assert call("DescribeActivations")[0] == 200, "whoever registers machines runs nothing on them"
    as_root = Scope(user_names=["root"])
    assert scene.key(as_root)("RunCommand", **RUN, InstanceId__1="mi-prod")[0] == 200


def test_a_stored_command_keeps_the_account_that_the_request_names(scene: Scene) -> None:
    call = scene.key(Scope(user_names=["deploy", "app"]))
    stored = {"Name": "own", "Type": "RunShellScript", "CommandContent": "dHJ1ZQ=="}
    command_id = call("CreateCommand", **stored, Username="deploy")[1]["CommandId"]
    invoke_id = call("InvokeCommand", CommandId=command_id, InstanceId__1="mi-prod")[1]["InvokeId"]
    assert call("DescribeInvocations", InvokeId=invoke_id)[1]["Invocations"]["Invocation"][0]["Username"] == "deploy"
    assert call("ModifyCommand", CommandId=command_id, Username="app")[0] == 200
    assert call("ModifyCommand", CommandId=command_id, Description="kept")[0] == 200
    shown = call("DescribeCommands", CommandId=command_id)[1]["Commands"]["Command"][0]
    assert (shown["Username"], shown["Description"]) == ("app", "kept")
    assert refused(call("ModifyCommand", CommandId=command_id, Username=""), "user-name=deploy")
    assert refused(call("CreateCommand", **stored), "user-name=deploy")
    assert call("CreateCommand", **stored, Username="x" * 256)[1]["Code"] == "Forbidden.RAM"
    assert scene.key(Scope())("CreateCommand", **stored, Username="x" * 256)[1]["Code"] == "Username.ExceedLimit"


def test_a_key_limited_to_instances_changes_no_account_of_what_others_run_too(scene: Scene) -> None:
    call = scene.key(Scope(instance_tags={"env": "test"}, command_ids=[scene.command_id]))
    assert refused(call("ModifyCommand", CommandId=scene.command_id, Username="root"), "env=test")
    assert call("ModifyCommand", CommandId=scene.command_id, Username="deploy", Name="renamed")[0] == 200


def test_a_key_limited_to_an_account_takes_no_command_of_another_over(scene: Scene) -> None:
    call = scene.key(Scope(user_names=["deploy"]))
    assert refused(call("ModifyCommand", CommandId=scene.other_command_id, Username="deploy"), "user-name=deploy")
    assert call("ModifyCommand", CommandId=scene.command_id, Username="deploy", Timeout="90")[0] == 200


def test_a_key_limited_to_instances_changes_no_command_that_is_not_named(scene: Scene) -> None:
    call = scene.key(TEST)
    for action in ("ModifyCommand", "DeleteCommand"):
        assert refused(call(action, CommandId=scene.command_id, Name="renamed"), "stored commands run on other")


def test_a_key_limited_to_an_account_sends_no_files_that_the_agent_writes_as_root(scene: Scene) -> None:
    file = {"Name": "ld.so.preload", "TargetDir": "/etc", "Content": "x", "InstanceId__1": "mi-prod"}
    own = {"FileOwner": "deploy", "FileGroup": "root", "FileMode": "6755"}
    assert refused(scene.key(Scope(user_names=["deploy"]))("SendFile", **file, **own), "user-name=deploy")
    assert scene.key(Scope(user_names=["deploy", "root"]))("SendFile", **file, **own)[0] == 200
    assert refused(scene.key(Scope(user_names=["root"]))("SendFile", **file, **own), "does not include deploy")


def test_a_timed_invocation_is_modified_only_within_the_limits(scene: Scene) -> None:
    timed = scene.key(Scope())(
        "InvokeCommand", CommandId=scene.other_command_id, InstanceId__1="mi-test", Frequency="0 0 3 * * *"
    )[1]["InvokeId"]
    call = scene.key(TEST)
    assert call("ModifyInvocationAttribute", InvokeId=timed, Frequency="0 0 4 * * *")[0] == 200
    assert refused(call("ModifyInvocationAttribute", InvokeId=timed, InstanceId__1="mi-prod"), "env=test")
    # What it is on too is changed with it, whatever is added.
    on_both = {"CommandId": scene.other_command_id, "InstanceId__1": "mi-test", "InstanceId__2": "mi-prod"}
    shared = scene.key(Scope())("InvokeCommand", **on_both, Frequency="0 0 3 * * *")[1]["InvokeId"]
    daily = {"InvokeId": shared, "Frequency": "0 0 4 * * *"}
    assert refused(call("ModifyInvocationAttribute", **daily, InstanceId__1="mi-test"), "env=test")
    limited = scene.key(Scope(command_ids=[scene.other_command_id]))
    assert refused(limited("ModifyInvocationAttribute", InvokeId=timed, CommandContent="evil"), "command=")
    braces = {"EnableParameter": "true", "Parameters": '{"x": "$(evil)"}'}
    assert refused(limited("ModifyInvocationAttribute", InvokeId=timed, **braces), "command=")
    other = scene.key(Scope(command_ids=[scene.command_id]))
    assert refused(other("ModifyInvocationAttribute", InvokeId=timed, Frequency="0 0 5 * * *"), "command=")
    as_user = scene.key(Scope(user_names=["deploy"]))
    assert refused(as_user("ModifyInvocationAttribute", InvokeId=timed, Frequency="0 0 5 * * *"), "user-name=")


def test_a_key_limited_to_commands_tags_these_and_sees_no_tags_of_others(scene: Scene) -> None:
    call = scene.key(Scope(command_ids=[scene.command_id]))
    tag = {"Tag__1__Key": "a", "Tag__1__Value": "b"}
    own = {"ResourceType": "command", "ResourceId__1": scene.command_id}
    other = {"ResourceType": "command", "ResourceId__1": scene.other_command_id}
    assert call("TagResources", **own, **tag)[0] == 200
    assert refused(call("TagResources", **other, **tag), "command=")
    assert refused(call("TagResources", **own, ResourceId__2=scene.other_command_id, **tag), "command=")
    assert refused(call("UntagResources", **other, All="true"), "command=")
    for kind, one in (("instance", "mi-prod"), ("invocation", scene.on_test)):
        assert refused(call("TagResources", ResourceType=kind, ResourceId__1=one, **tag), f"no tags of {kind}")
    assert call("ListTagResources", **own)[0] == 200
    assert refused(call("ListTagResources", **other), "command=")
    assert refused(call("ListTagResources", ResourceType="command", **tag), "name the resources")
    of_invocation = {"ResourceType": "invocation", "ResourceId__1": scene.on_prod}
    assert refused(call("ListTagResources", **of_invocation), "name the resources")
    # It is not limited to instances.
    assert call("ListTagResources", ResourceType="instance", **tag)[0] == 200


def test_a_key_limited_to_commands_stores_no_other_reading_of_their_text(scene: Scene) -> None:
    command_id = scene.assistant.create_command(
        name="p", type="RunShellScript", content="rm -r {{x}}", enable_parameter=True
    )
    target = {"InstanceId__1": "mi-test", "Frequency": "0 0 3 * * *"}
    started = scene.key(Scope())("InvokeCommand", CommandId=command_id, Parameters='{"x": "a"}', **target)
    timed = started[1]["InvokeId"]
    call = scene.key(Scope(command_ids=[command_id]))
    assert refused(call("ModifyInvocationAttribute", InvokeId=timed, EnableParameter="false"), "command=")
    same = call("ModifyInvocationAttribute", InvokeId=timed, EnableParameter="true", Parameters='{"x": "b"}')
    assert same[0] == 200
    assert same[1]["CommandId"] == command_id


def test_a_key_limited_to_actions_has_no_others_and_no_more_than_its_role(scene: Scene) -> None:
    call = scene.key(Scope(actions=["Describe*", "DeleteCommand"]), "viewer")
    assert call("DescribeCommands")[0] == 200
    assert refused(call("ListTagResources", ResourceType="instance", ResourceId__1="mi-test"), "action=Describe*")
    assert refused(call("DeleteCommand", CommandId=scene.command_id), "role 'viewer'")


def test_a_change_of_a_keys_limits_counts_from_its_next_request_on(scene: Scene) -> None:
    stored = AccessKeys(scene.assistant.redis, MASTER)
    key_id, secret = stored.create("changing", "operator")

    def status() -> int:
        given = {"RegionId": "local", **RUN, "InstanceId.1": "mi-prod"}
        return scene.gateway.post(v1_query("RunCommand", given, secret=secret, AccessKeyId=key_id))[0]

    assert status() == 200
    stored.update(key_id, scope=TEST)
    assert status() == 403
    stored.update(key_id, name="renamed")
    assert status() == 403
    stored.update(key_id, scope=Scope())
    assert status() == 200


def test_no_action_is_open_to_a_limited_key_by_oversight(scene: Scene) -> None:
    """Every action with nothing but ids of what the key may not touch: refused, or a listing that shows none of it."""
    forbidden = {
        "InstanceId": "mi-prod",
        "InstanceId__1": "mi-prod",
        "ResourceId__1": "mi-prod",
        "ResourceType": "instance",
        "Tag__1__Key": "env",
        "Tag__1__Value": "test",
        "InvokeId": scene.on_prod,
        "CommandId": scene.other_command_id,
        "ActivationId": "x",
        "InstanceName": "stolen",
        "SettingType": "SessionManagerConfig",
        "Content": "x",
        "TargetDir": "/tmp",
        "Name": "x",
        **RUN,
    }
    scope = Scope(instance_tags={"env": "test"}, command_ids=[scene.command_id], user_names=["deploy"])
    call = scene.key(scope)
    before = scene.assistant.redis.call("HGETALL", keys.profile("mi-prod"))
    for action in action_registry(scene.assistant):
        status, body = call(action, **forbidden)
        if action.startswith("Describe") and action != "DescribeActivations":
            assert "mi-prod" not in json.dumps(body) or status == 404, action
            assert scene.on_prod not in json.dumps(body.get("Invocations", "")), action
        else:
            assert (status, body["Code"]) == (403, "Forbidden.RAM"), (action, body)
    assert scene.assistant.redis.call("HGETALL", keys.profile("mi-prod")) == before


def test_files_sent_elsewhere_are_not_seen(scene: Scene) -> None:
    sent = scene.key(Scope())
    file = {"Name": "a", "TargetDir": "/tmp", "Content": "x"}
    assert sent("SendFile", **file, InstanceId__1="mi-prod")[0] == 200
    call = scene.key(TEST, "viewer")
    assert call("DescribeSendFileResults")[1]["Invocations"]["Invocation"] == []
    assert sent("SendFile", **file, InstanceId__1="mi-prod", InstanceId__2="mi-test")[0] == 200
    (shown,) = call("DescribeSendFileResults")[1]["Invocations"]["Invocation"]
    rows = shown["InvokeInstances"]["InvokeInstance"]
    assert ([one["InstanceId"] for one in rows], shown["VmCount"]) == (["mi-test"], 1)


@pytest.mark.parametrize(
    "scope",
    [
        Scope(actions=["Describe Commands"]),
        Scope(actions=["nan"]),
        Scope(actions=["RunCommand", "Remove*"]),
        Scope(command_ids=["x"]),
        Scope(user_names=[""]),
        Scope(user_names=[" "]),
        Scope(instance_tags={"": "x"}),
    ],
    ids=str,
)
def test_a_limit_that_could_never_hold_is_refused_when_it_is_set(scope: Scope) -> None:
    with pytest.raises(RequestInvalid):
        checked(scope)


def test_an_action_that_does_not_exist_is_told_with_the_one_that_was_meant_and_with_all_of_them() -> None:
    with pytest.raises(RequestInvalid, match=r"'runcommand' .* did you mean RunCommand\? There are: .*UploadFilePart"):
        checked(Scope(actions=["Describe*", "runcommand"]))
    assert checked(Scope(actions=["*Command", "Describe?nstances"]))


def test_the_names_that_a_limit_may_have_are_those_of_the_actions(scene: Scene) -> None:
    assert list(KNOWN_ACTIONS) == list(action_registry(scene.assistant))


def test_a_local_caller_is_not_limited(scene: Scene) -> None:
    options = RunOptions(username="root")
    assert scene.assistant.run_command("true", Targets(instance_ids=["mi-prod"]), options).invoke_id
