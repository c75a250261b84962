"""``assist file``: from a file here to a file there."""

from pathlib import Path

from e2e.gateway.real_gateway import RealGateway


def test_a_file_is_sent_and_listed(real: RealGateway, tmp_path: Path) -> None:
    source = tmp_path / "app.env"
    source.write_bytes(b"A=1\n\xff")
    target = tmp_path / "there"
    line = ("file", "send", source, "--to", target, "--instance", "i-one", "--mode", "0600", "--output", "json")
    sent = real.system.assist(*line).must_succeed().json
    assert sent["InvocationResults"][0]["InvocationStatus"] == "Success"
    assert (target / "app.env").read_bytes() == b"A=1\n\xff"
    (listed, *_) = real.system.assist("file", "list", "--output", "json").must_succeed().json
    assert (listed["InvokeId"], listed["InvocationStatus"]) == (sent["InvokeId"], "Success")
    assert f"{target}/app.env" in real.system.assist("file", "list").must_succeed().stdout
    again = real.system.assist(*line)
    assert again.exit_code == 1
    assert again.json["InvocationResults"][0]["ErrorCode"] == "FileAlreadyExists"


def test_standard_input_needs_a_name(real: RealGateway, tmp_path: Path) -> None:
    line = ("file", "send", "-", "--to", tmp_path, "--instance", "i-one")
    assert real.system.assist(*line, input="x").exit_code == 2
    assert "it is empty, as an unset variable leaves it" in real.system.assist(*line, "--name", "", input="x").stderr
    real.system.assist(*line, "--name", "x", input="x").must_succeed()
    assert (tmp_path / "x").read_text() == "x"


def test_a_file_that_is_too_large_or_not_there(real: RealGateway, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 30_000)
    outcome = real.system.assist("file", "send", large, "--to", tmp_path, "--instance", "i-one")
    assert (outcome.exit_code, "FileSize.ExceedLimit" in outcome.stderr) == (4, True)
    outcome = real.system.assist("file", "send", tmp_path / "absent", "--to", tmp_path, "--instance", "i-one")
    assert outcome.exit_code == 2


def test_a_file_on_its_way_is_shown_and_stopped_as_a_script_is(real: RealGateway, tmp_path: Path) -> None:
    real.system.assist("instance", "add", "i-away").must_succeed()
    line = ("file", "send", "-", "--name", "x", "--to", tmp_path, "--instance", "i-away")
    waited = real.system.assist(*line, "--wait-timeout", "0.1", "--output", "json", input="x")
    assert (waited.exit_code, waited.json["InvocationResults"][0]["InvocationStatus"]) == (6, "Pending")
    invoke_id = waited.json["InvokeId"]
    shown = real.system.assist("invocation", "show", invoke_id).must_succeed().stdout
    assert ("Path        " + str(tmp_path / "x") in shown, "RunShellScript" in shown) == (True, False)
    stopped = real.system.assist("invocation", "stop", invoke_id, "--output", "json").must_succeed().json
    assert stopped["Stopped"] == [{"InstanceId": "i-away", "InvocationStatus": "Cancelled"}]
    assert "i-away Cancelled" in real.system.assist("invocation", "results", invoke_id).must_succeed().stderr
    assert real.system.assist("invocation", "show", "f-00000001").exit_code == 5
