"""What is given with a request is shown by its listing, and every filter of a listing finds it and nothing else."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.instances import heartbeat
from harness.redis_server import RedisServer

TAG = {"Tag.1.Key": "team", "Tag.1.Value": "web"}
GROUP = {"ResourceGroupId": "rg-1"}
#: Filters that every listing has: one that is right, and one that is wrong.
EVERYWHERE = [(TAG, {**TAG, "Tag.1.Value": "db"}), (GROUP, {"ResourceGroupId": "rg-2"})]
TAGS = [{"TagKey": "team", "TagValue": "web"}]
COMMAND = {
    "Name": "disk",
    "Type": "RunShellScript",
    "CommandContent": "ZGYge3t3aGVyZX19",
    "Description": "how full",
    "WorkingDir": "/srv",
    "Timeout": "90",
    "Username": "deploy",
    "EnableParameter": "true",
    "Launcher": "nice sh",
}
RUN = {
    **COMMAND,
    "CommandContent": "df {{where}}",
    "Parameters": '{"where":"/"}',
    "TerminationMode": "Process",
    "Frequency": "0 0 3 * * *",
    "InstanceId.1": "mi-1",
}
FILE = {
    "Name": "motd",
    "Description": "of the day",
    "TargetDir": "/etc",
    "ContentType": "Base64",
    "Content": "eA==",
    "FileOwner": "deploy",
    "FileGroup": "adm",
    "FileMode": "0640",
    "Overwrite": "true",
    "InstanceId.1": "mi-1",
}
ACTIVATION = {
    "InstanceName": "web",
    "InstanceCount": "3",
    "TimeToLiveInHours": "2",
    "IpAddressRange": "10.0.0.0/8",
    "Description": "of the rack",
}
REPORT = {
    "hostname": "web-1",
    "os_type": "Linux",
    "os_name": "Debian 13",
    "agent_version": "1.2.3",
    "ip_address": "10.0.0.1",
    "machine_id": "0123456789abcdef",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeGateway]:
    folder = Path(tmp_path_factory.mktemp("all"))
    with RedisServer(folder / "redis") as server, whole_gateway(server.url(), folder, has_master_key=True) as made:
        for one in ("mi-1", "mi-2"):
            made.assistant.add_instance(one)
        made.assistant.modify_instance("mi-1", name="first", tags={"team": "web"})
        heartbeat(made.assistant.redis, "mi-1", "epoch", REPORT, ttl_ms=3_600_000, take_over=True)
        profile = ("activation_id", "ACTIVATION", "resource_group_id", "rg-1", "registered_ms", 1_800_000_000_000)
        made.assistant.redis.call("HSET", keys.profile("mi-1"), *profile)
        yield made


def ask(gateway: WholeGateway, action: str, asked: Mapping[str, str]) -> dict[str, Any]:
    status, answer = gateway.call(action, asked)
    assert status == 200, answer
    answered: dict[str, Any] = answer
    return answered


def listed(gateway: WholeGateway, action: str, asked: Mapping[str, str]) -> list[dict[str, Any]]:
    """The entries of a listing, wherever the answer has them."""
    answer = ask(gateway, action, asked)
    answer = answer.get("Invocation", answer)
    found = next(one for one in answer.values() if isinstance(one, list | dict))
    entries: list[dict[str, Any]] = found if isinstance(found, list) else next(iter(found.values()))
    assert answer["TotalCount"] == len(entries)
    return entries


def shown(entry: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Of an entry what was given, in the form in which it was given."""
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in entry.items()}
    return {name: texts.get(name, "") for name in given}


def finds(gateway: WholeGateway, action: str, filters: Sequence[tuple[Mapping[str, str], Mapping[str, str]]]) -> None:
    """One thing is found by each filter that is right, and by all; by none that is wrong, beside the others either."""
    every = {name: value for right, _ in filters for name, value in right.items()}
    assert len(listed(gateway, action, every)) == 1
    for right, wrong in filters:
        assert len(listed(gateway, action, right)) == 1, right
        assert listed(gateway, action, wrong) == [], wrong
        assert listed(gateway, action, {**every, **wrong}) == [], wrong


def test_commands(gateway: WholeGateway) -> None:
    command_id = ask(gateway, "CreateCommand", {**COMMAND, **TAG, **GROUP})["CommandId"]
    other = {"Name": "other", "Type": "RunBatScript", "CommandContent": "eA==", "Description": "else"}
    other_id = ask(gateway, "CreateCommand", other)["CommandId"]
    (entry,) = listed(gateway, "DescribeCommands", {"CommandId": other_id})
    assert (entry["Timeout"], entry["EnableParameter"]) == (60, False)
    # To the minute, as the service has it for commands alone.
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", entry["CreationTime"])
    (entry,) = listed(gateway, "DescribeCommands", {"CommandId": command_id})
    assert shown(entry, {**COMMAND, **GROUP}) == {**COMMAND, **GROUP}
    assert (entry["Tags"], entry["ParameterNames"]) == ({"Tag": TAGS}, {"ParameterName": ["where"]})
    filters = [
        ({"CommandId": command_id}, {"CommandId": "c-other"}),
        ({"Name": "d*"}, {"Name": "x*"}),
        ({"Description": "how*"}, {"Description": "x*"}),
        ({"Type": "RunShellScript"}, {"Type": "RunPowerShellScript"}),
        *EVERYWHERE,
    ]
    finds(gateway, "DescribeCommands", filters)
    changes = {"Name": "x", "Description": "y", "WorkingDir": "/", "Timeout": "30", "Username": "app", "Launcher": "sh"}
    ask(gateway, "ModifyCommand", {"CommandId": command_id, **changes})
    (entry,) = listed(gateway, "DescribeCommands", {"CommandId": command_id})
    assert shown(entry, changes) == changes


def test_nobody_provides_public_commands(gateway: WholeGateway) -> None:
    for _ in range(2):
        ask(gateway, "CreateCommand", COMMAND)
    for page in ({"PageSize": "1"}, {"MaxResults": "1"}):
        answer = ask(gateway, "DescribeCommands", {"Provider": "AlibabaCloud", **page})
        assert (answer["Commands"]["Command"], answer["TotalCount"], answer["NextToken"]) == ([], 0, "")


def test_names_and_descriptions_of_full_length_are_found_with_a_star_at_either_end(gateway: WholeGateway) -> None:
    long = {"Name": "n" * 128, "Description": "d" * 512}
    command_id = ask(gateway, "CreateCommand", {**COMMAND, **long})["CommandId"]
    around = {name: f"*{value}*" for name, value in long.items()}
    assert [one["CommandId"] for one in listed(gateway, "DescribeCommands", around)] == [command_id]


def test_invocations_and_results(gateway: WholeGateway) -> None:
    made = ask(gateway, "RunCommand", {**RUN, **TAG, **GROUP})
    other = {"Type": "RunPowerShellScript", "CommandContent": "x", "InstanceId.1": "mi-2", "Name": "other"}
    ask(gateway, "RunCommand", other)
    (entry,) = listed(gateway, "DescribeInvocations", {"InvokeId": made["InvokeId"], "ContentEncoding": "PlainText"})
    same = ("CommandContent", "WorkingDir", "Timeout", "Username", "Launcher", "Parameters", "TerminationMode")
    given = {name: RUN[name] for name in (*same, "Frequency")}
    assert shown(entry, given) == given
    named = [entry[name] for name in ("CommandName", "CommandDescription", "CommandType", "RepeatMode", "Timed")]
    assert named == ["disk", "how full", "RunShellScript", "Period", True]
    assert entry["Tags"] == {"Tag": TAGS}
    common = [
        ({"InvokeId": made["InvokeId"]}, {"InvokeId": "t-other"}),
        ({"CommandId": made["CommandId"]}, {"CommandId": "c-other"}),
        *EVERYWHERE,
    ]
    on = ({"InstanceId": "mi-1"}, {"InstanceId": "mi-3"})
    timed = ({"Timed": "true"}, {"Timed": "true", "CommandName": "other"})
    filters = [
        *common,
        timed,
        ({"CommandName": "d*"}, {"CommandName": "x*"}),
        ({"CommandType": "RunShellScript"}, {"CommandType": "RunBatScript"}),
        ({"RepeatMode": "Period"}, {"RepeatMode": "EveryReboot"}),
        ({"InvokeStatus": "Scheduled"}, {"InvokeStatus": "Success"}),
    ]
    finds(gateway, "DescribeInvocations", filters)
    finds(gateway, "DescribeInvocations", [({"InvocationStatus": "Scheduled"}, {"InvocationStatus": "Success"})])
    finds(gateway, "DescribeInvocations", [*common, timed])
    assert len(listed(gateway, "DescribeInvocations", {"Timed": "false"})) == 1
    status, answer = gateway.call("DescribeInvocations", {"InstanceId": "mi-1", "InvokeStatus": "PartialFailed"})
    assert (status, answer["Code"]) == (400, "InvalidParameter.InvokeStatus")
    # What is timed is listed by an instance, before it has run there, where it is asked for.
    finds(gateway, "DescribeInvocations", [({"Timed": "true", **on[0]}, {"Timed": "true", **on[1]})])
    for name in ("InvokeRecordStatus", "InvocationStatus"):
        finds(gateway, "DescribeInvocationResults", [*common, ({name: "Scheduled"}, {name: "Success"})])
    finds(gateway, "DescribeInvocationResults", [({**common[0][0], **on[0]}, {**common[0][0], **on[1]})])
    (entry,) = listed(gateway, "DescribeInvocationResults", {"InvokeId": made["InvokeId"]})
    given = {name: RUN[name] for name in ("Username", "Launcher", "TerminationMode")}
    assert (shown(entry, given), entry["Tags"]) == (given, {"Tag": TAGS})
    # The older word for the whole is that of one invocation.
    for asked, word in (({}, ""), ({"InvokeId": made["InvokeId"]}, "Running")):
        assert ask(gateway, "DescribeInvocationResults", asked)["Invocation"]["Status"] == word
    ask(gateway, "StopInvocation", {"InvokeId": made["InvokeId"]})
    (entry,) = listed(gateway, "DescribeInvocations", {"InvokeId": made["InvokeId"]})
    (instance,) = entry["InvokeInstances"]["InvokeInstance"]
    assert (entry["Timed"], instance["Timed"], instance["InvocationStatus"]) == (False, False, "Cancelled")


def test_files(gateway: WholeGateway) -> None:
    invoke_id = ask(gateway, "SendFile", {**FILE, **TAG, **GROUP})["InvokeId"]
    plain = {"Name": "other", "TargetDir": "/tmp", "Content": "x", "InstanceId.1": "mi-2"}
    other_id = ask(gateway, "SendFile", plain)["InvokeId"]
    (entry,) = listed(gateway, "DescribeSendFileResults", {"InvokeId": invoke_id})
    given = {**{name: value for name, value in FILE.items() if name != "InstanceId.1"}, **GROUP}
    assert (shown(entry, given), entry["Tags"], entry["VmCount"]) == (given, {"Tag": TAGS}, 1)
    (entry,) = listed(gateway, "DescribeSendFileResults", {"InvokeId": other_id})
    defaults = {"ContentType": "PlainText", "Content": "x", "FileOwner": "root", "FileGroup": "root"}
    defaults |= {"FileMode": "0644", "Overwrite": "false"}
    assert shown(entry, defaults) == defaults
    filters = [
        ({"InvokeId": invoke_id}, {"InvokeId": "f-other"}),
        ({"InstanceId": "mi-1"}, {"InstanceId": "mi-3"}),
        ({"Name": "motd"}, {"Name": "mot*"}),
        ({"InvokeId": invoke_id, "InvocationStatus": "Pending"}, {"InvocationStatus": "Success"}),
        *EVERYWHERE,
    ]
    finds(gateway, "DescribeSendFileResults", filters)


def test_activations(gateway: WholeGateway) -> None:
    activation_id = ask(gateway, "CreateActivation", {**ACTIVATION, **TAG, **GROUP})["ActivationId"]
    ask(gateway, "CreateActivation", {})
    (entry,) = listed(gateway, "DescribeActivations", {"ActivationId": activation_id})
    assert (shown(entry, {**ACTIVATION, **GROUP}), entry["Tags"]) == ({**ACTIVATION, **GROUP}, TAGS)
    filters = [
        ({"ActivationId": activation_id}, {"ActivationId": "OTHER"}),
        ({"InstanceName": "w*"}, {"InstanceName": "x*"}),
        *EVERYWHERE,
    ]
    finds(gateway, "DescribeActivations", filters)


def test_instances(gateway: WholeGateway) -> None:
    filters = [
        ({"InstanceIds": '["mi-1"]'}, {"InstanceIds": '["mi-3"]'}),
        ({"InstanceName": "f*"}, {"InstanceName": "x*"}),
        ({"PrivateIpAddresses": '["10.0.0.1"]'}, {"PrivateIpAddresses": '["10.0.0.2"]'}),
        ({"Status": "Running"}, {"Status": "Starting"}),
        *EVERYWHERE,
    ]
    finds(gateway, "DescribeInstances", filters)
    finds(gateway, "DescribeCloudAssistantStatus", [({"OSType": "linux"}, {"OSType": "Windows"})])


def test_managed_instances(gateway: WholeGateway) -> None:
    filters = [
        ({"InstanceId.1": "mi-1"}, {"InstanceId.1": "mi-3"}),
        ({"InstanceName": "f*"}, {"InstanceName": "x*"}),
        ({"InstanceIp": "10.0.0.1"}, {"InstanceIp": "10.0.0.2"}),
        ({"ActivationId": "ACTIVATION"}, {"ActivationId": "OTHER"}),
        ({"MachineId": REPORT["machine_id"]}, {"MachineId": "other"}),
        ({"OsType": "Linux"}, {"OsType": "windows"}),
        ({"Connected": "true"}, {"Connected": "false", "InstanceName": "f*"}),
        *EVERYWHERE,
    ]
    finds(gateway, "DescribeManagedInstances", filters)
    (entry,) = listed(gateway, "DescribeManagedInstances", {"InstanceId.1": "mi-1"})
    assert entry == {
        "InstanceId": "mi-1",
        "InstanceName": "first",
        "Hostname": "web-1",
        "OsType": "linux",
        "OsVersion": "Debian 13",
        "AgentVersion": "1.2.3",
        "Connected": True,
        "IntranetIp": "10.0.0.1",
        "InternetIp": "",
        "MachineId": REPORT["machine_id"],
        "ActivationId": "ACTIVATION",
        "RegistrationTime": "2027-01-15T08:00:00Z",
        "InvocationCount": entry["InvocationCount"],
        "LastInvokedTime": entry["LastInvokedTime"],
        "ResourceGroupId": "rg-1",
        "Tags": TAGS,
    }
