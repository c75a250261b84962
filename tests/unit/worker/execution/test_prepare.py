import os
import time
from pathlib import Path

import pytest

from cloud_assistant.worker.execution import prepare as prepare_module
from cloud_assistant.worker.execution.account import account_of
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.plan import Plan
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.script import Script


def script_of(content: bytes = b"echo 1", **changes: object) -> Script:
    values: dict[str, object] = {
        "execution_id": "x-1",
        "instance_id": "i-1",
        "invoke_id": "t-1",
        "command_id": "c-1",
        "command_name": "n",
        "script_type": "RunShellScript",
        "content": content,
        **changes,
    }
    return Script(**values)  # type: ignore[arg-type]


def refusal(script: Script, folder: Path) -> NotStarted:
    with pytest.raises(NotStarted) as refused:
        prepare(script, folder)
    assert not list(folder.glob("script*")), "a refused script leaves no file"
    return refused.value


def test_a_plan_has_everything_resolved(tmp_path: Path) -> None:
    plan = prepare(script_of(working_directory="/tmp", timeout_seconds=7, keep_script=True), tmp_path / "x")
    assert plan.arguments == ["/bin/sh", f"{tmp_path}/x/script.sh"]
    assert (plan.working_directory, plan.working_directory_is_default) == ("/tmp", False)
    assert (plan.timeout_seconds, plan.kills_tree, plan.keep_script) == (7, True, True)
    assert (plan.credentials, plan.script_fd, plan.notes) == (None, None, [])
    assert plan.environment["CA_EXECUTION_ID"] == "x-1"


def test_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert prepare(script_of(), Path("x")).folder == f"{tmp_path}/x"


def test_the_deadline_told_to_the_script_is_the_timeouts_unless_given(tmp_path: Path) -> None:
    given = prepare(script_of(deadline_ms=5_000), tmp_path / "a")
    assert given.environment["CA_DEADLINE"] == "5"
    computed = prepare(script_of(timeout_seconds=100), tmp_path / "b")
    assert int(computed.environment["CA_DEADLINE"]) == pytest.approx(time.time() + 100, abs=10)
    unlimited = prepare(script_of(timeout_seconds=0), tmp_path / "c")
    assert "CA_DEADLINE" not in unlimited.environment


def test_a_batch_script_is_not_applicable_here(tmp_path: Path) -> None:
    refused = refusal(script_of(script_type="RunBatScript"), tmp_path / "x")
    assert refused.error_code == "CommandNotApplicable"
    assert "Windows" in refused.error_info


def test_powershell_needs_pwsh(tmp_path: Path) -> None:
    empty = {"PATH": str(tmp_path)}
    refused = refusal(script_of(script_type="RunPowerShellScript", environment=empty), tmp_path / "x")
    assert refused.error_code == "CommandNotApplicable"
    assert "pwsh" in refused.error_info


def test_powershell_runs_where_pwsh_is(tmp_path: Path) -> None:
    powershell = tmp_path / "pwsh"
    powershell.write_text("")
    powershell.chmod(0o755)
    plan = prepare(
        script_of(b"\xef\xbb\xbfGet-Date", script_type="RunPowerShellScript", environment={"PATH": str(tmp_path)}),
        tmp_path / "x",
    )
    script = f"{tmp_path}/x/script.ps1"
    assert plan.arguments == [str(powershell), "-NoProfile", "-NonInteractive", "-File", script]
    assert (plan.script_path, plan.content) == (script, b"Get-Date")


@pytest.mark.parametrize(
    ("directory", "why"),
    [
        ("/does/not/exist", "does not exist"),
        ("relative", "not an absolute path"),
        ("/etc/passwd", "not a directory"),
        ("/etc/passwd/x", "cannot be used"),
        ("/tmp\0", "not an absolute path"),
        ("/" + "x" * 300, "cannot be used"),
    ],
)
def test_a_useless_working_directory_is_refused(tmp_path: Path, directory: str, why: str) -> None:
    refused = refusal(script_of(working_directory=directory), tmp_path / "x")
    assert refused.error_code == "DirectoryNotExists"
    assert why in refused.error_info
    assert not (tmp_path / "x").exists()


def test_a_directory_that_may_not_be_entered_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode, effective_ids: path != str(tmp_path))
    refused = refusal(script_of(working_directory=str(tmp_path)), tmp_path / "x")
    assert (refused.error_code, "may not be entered" in refused.error_info) == ("DirectoryNotExists", True)


def test_a_home_that_does_not_exist_is_replaced_by_the_root_and_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    own = account_of("")
    homeless = type(own)(own.name, own.uid, own.gid, (), "/does/not/exist", own.shell, is_own=True)
    monkeypatch.setattr(prepare_module, "account_of", lambda name: homeless)
    plan = prepare(script_of(), tmp_path / "x")
    assert (plan.working_directory, plan.working_directory_is_default) == ("/", True)
    assert "/does/not/exist" in plan.notes[0]


def test_a_launcher_decides_program_and_extension(tmp_path: Path) -> None:
    plan = prepare(script_of(b"#!/no/such\n", launcher='/bin/sh -e {{ACS::ScriptFileName|Ext(".py")}}'), tmp_path / "x")
    assert plan.arguments == ["/bin/sh", "-e", f"{tmp_path}/x/script.py"]


def test_a_refused_script_leaves_no_file(tmp_path: Path) -> None:
    assert refusal(script_of(b"#!/no/such\n"), tmp_path / "x").error_code == "ExecutionException"
    assert refusal(script_of(username="no-such-user"), tmp_path / "x").error_code == "AccountNotExists"


def test_a_plan_survives_the_way_to_its_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    plan = prepare(script_of(username="nobody", parameters={"p": "\udcff 名"}), tmp_path / "x")
    assert plan.credentials is not None
    assert Plan.from_bytes(plan.to_bytes()) == plan
    assert list(tmp_path.iterdir()) == []
