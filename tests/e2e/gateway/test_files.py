"""SendFile, end to end."""

import base64
import getpass
import grp
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from e2e.gateway.real_gateway import FINAL, RealGateway

from harness.eventually import eventually


def send(real: RealGateway, folder: Path, **named: str) -> str:
    wanted = {"Name": "notes.txt", "TargetDir": str(folder), "Content": "hello\n", "InstanceId.1": "i-one", **named}
    invoke_id: str = real.call("SendFile", wanted)["InvokeId"]
    return invoke_id


def delivered(real: RealGateway, invoke_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        (file,) = real.call("DescribeSendFileResults", InvokeId=invoke_id)["Invocations"]["Invocation"]
        (row,) = file["InvokeInstances"]["InvokeInstance"]
        return {**file, "row": row} if row["InvocationStatus"] in FINAL else None

    return eventually(look, within_seconds=45)


def test_a_file_arrives_with_mode_and_folder(real: RealGateway, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "er"
    invoke_id = send(real, folder, FileMode="0640", Description="a note")
    assert invoke_id.startswith("f-")
    file = delivered(real, invoke_id)
    assert (file["InvocationStatus"], file["row"]["InvocationStatus"]) == ("Success", "Success")
    assert (file["FileOwner"], file["FileGroup"]) == ("root", "root"), "as the service names who is not named"
    assert (file["Content"], file["FileMode"], file["Overwrite"], file["VmCount"]) == ("hello\n", "0640", "false", 1)
    target = folder / "notes.txt"
    assert target.read_text() == "hello\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [one.name for one in folder.iterdir()] == ["notes.txt"]


def test_a_file_is_replaced_only_when_allowed(real: RealGateway, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("old")
    refused = delivered(real, send(real, tmp_path))
    assert refused["row"]["ErrorCode"] == "FileAlreadyExists"
    assert refused["InvocationStatus"] == "Failed"
    assert (tmp_path / "notes.txt").read_text() == "old"
    assert delivered(real, send(real, tmp_path, Overwrite="true"))["InvocationStatus"] == "Success"
    assert (tmp_path / "notes.txt").read_text() == "hello\n"


def test_a_link_is_replaced_and_not_followed(real: RealGateway, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / "notes.txt").symlink_to(elsewhere)
    assert delivered(real, send(real, tmp_path, Overwrite="true"))["InvocationStatus"] == "Success"
    assert elsewhere.read_text() == "precious"
    assert not (tmp_path / "notes.txt").is_symlink()


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"Name": "a/b"}, "FileNameInvalid"),
        ({"Name": ".."}, "FileNameInvalid"),
        ({"FileOwner": "nobody-of-this-name"}, "AccountNotExists"),
        ({"FileGroup": "no-such-group"}, "UserGroupNotExists"),
        ({"Name": "folder"}, "FileCreateFail"),
        ({"TargetDir": "/dev/null/x"}, "FilePathInvalid"),
    ],
)
def test_what_cannot_be_written_is_said_per_instance(
    real: RealGateway, tmp_path: Path, named: dict[str, str], code: str
) -> None:
    (tmp_path / "folder").mkdir()
    row = delivered(real, send(real, tmp_path, **{"Overwrite": "true", **named}))["row"]
    assert row["ErrorCode"] == code
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]


def test_owner_and_group_by_name(real: RealGateway, tmp_path: Path) -> None:
    own_group = grp.getgrgid(os.getegid()).gr_name
    invoke_id = send(real, tmp_path, FileOwner=getpass.getuser(), FileGroup=own_group)
    assert delivered(real, invoke_id)["InvocationStatus"] == "Success"
    assert (tmp_path / "notes.txt").stat().st_gid == os.getegid()


def test_32_kilobytes_of_bytes_arrive_as_they_are(real: RealGateway, tmp_path: Path) -> None:
    content = os.urandom(24 * 1024)
    text = base64.b64encode(content).decode()
    assert delivered(real, send(real, tmp_path, Content=text, ContentType="Base64"))["InvocationStatus"] == "Success"
    assert (tmp_path / "notes.txt").read_bytes() == content


def test_a_file_is_no_command_invocation(real: RealGateway, tmp_path: Path) -> None:
    invoke_id = send(real, tmp_path)
    delivered(real, invoke_id)
    listed = real.call("DescribeInvocations", MaxResults="50")["Invocations"]["Invocation"]
    assert invoke_id not in [one["InvokeId"] for one in listed]
    results = real.call("DescribeInvocationResults", MaxResults="50")["Invocation"]["InvocationResults"]
    assert invoke_id not in [one["InvokeId"] for one in results["InvocationResult"]]


@pytest.mark.parametrize(
    ("named", "status", "code"),
    [
        ({"TargetDir": "relative"}, 400, "FileTargetDir.Invalid"),
        ({"FileMode": "rw-r--r--"}, 400, "FileMode.Invalid"),
        ({"ContentType": "Base64", "Content": "%%%"}, 400, "FileContent.DecodeError"),
        ({"ContentType": "Gzip"}, 400, "FileContentType.Invalid"),
        ({"FileOwner": "x" * 65}, 400, "InvalidParameter.FileOwner"),
        ({"FileGroup": "a b"}, 400, "InvalidParameter.FileGroup"),
        ({"Content": "x" * 24_577}, 403, "FileSize.ExceedLimit"),
        ({"Name": "x" * 256}, 403, "FileName.ExceedLimit"),
        ({"Description": "x" * 513}, 403, "FileDesc.ExceedLimit"),
        ({"Timeout": "90000"}, 403, "InvalidTimeout.ExceedLimit"),
        ({"InstanceId.1": ""}, 400, "MissingParam.InstanceId"),
        ({"InstanceId.1": "i-absent"}, 404, "InvalidInstance.NotFound"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_at_once(
    real: RealGateway, tmp_path: Path, named: dict[str, str], status: int, code: str
) -> None:
    wanted = {"Name": "n", "TargetDir": str(tmp_path), "Content": "c", "InstanceId.1": "i-one", **named}
    answer = real.try_call("SendFile", wanted)
    assert (answer[0], answer[1]["Code"]) == (status, code)
