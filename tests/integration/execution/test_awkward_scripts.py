"""Scripts as people really write and send them."""

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from integration.execution.running import Runner, script_of, to_the_end

from cloud_assistant.worker.execution.events import Ended
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.record import load_exit
from harness.disk import small_disk
from harness.eventually import eventually
from harness.needs import skip_without


def test_a_script_gives_its_output_and_exit_code(runner: Runner) -> None:
    outcome = runner.run("echo 123\n")
    assert outcome.stdout == b"123\n"
    assert (outcome.record.reason, outcome.record.exit_code, outcome.record.signal) == ("exited", 0, None)
    assert outcome.record.error_code == ""
    assert outcome.record.finished_ms >= outcome.record.started_ms > 1_600_000_000_000


def test_stdout_and_stderr_are_apart_and_in_order(runner: Runner) -> None:
    outcome = runner.run("echo one; sleep 0.05; echo two >&2; sleep 0.05; echo three")
    assert (outcome.stdout, outcome.stderr) == (b"one\nthree\n", b"two\n")
    assert outcome.record.output.merged() == b"one\ntwo\nthree\n"


def test_a_nonzero_exit_code_is_reported(runner: Runner) -> None:
    record = runner.run("exit 3").record
    assert (record.exit_code, record.error_code) == (3, "ExitCodeNonzero")


def test_a_script_killed_by_a_signal_has_a_signal_and_no_exit_code(runner: Runner) -> None:
    record = runner.run("kill -SEGV $$").record
    assert (record.exit_code, record.signal, record.reason) == (None, 11, "exited")
    assert "SIGSEGV" in record.error_info


@pytest.mark.parametrize("content", ["echo no newline at the end", "#!/bin/sh\necho no newline at the end"])
def test_a_missing_last_newline_does_not_matter(runner: Runner, content: str) -> None:
    assert runner.run(content).stdout == b"no newline at the end\n"


def test_an_empty_script_succeeds(runner: Runner) -> None:
    assert runner.run("").record.exit_code == 0


def test_windows_line_ends_and_a_byte_order_mark_are_removed_and_noted(runner: Runner) -> None:
    outcome = runner.run(b"\xef\xbb\xbf#!/bin/sh\r\nif true; then\r\n  echo fine\r\nfi\r\n")
    assert outcome.stdout == b"fine\n"
    assert any("CR LF" in note for note in outcome.record.notes)
    assert any("byte order mark" in note for note in outcome.record.notes)


def test_the_interpreter_of_the_first_line_runs_the_script(runner: Runner) -> None:
    outcome = runner.run("#!/usr/bin/env -S LC_X=1 sh -e\necho $0 $LC_X $-\nfalse\necho not here")
    path, value, flags = outcome.stdout.decode().split()
    assert path.endswith("script.sh")
    assert value == "1"
    assert "e" in flags
    assert outcome.record.exit_code == 1


def test_python_scripts_run_with_the_options_of_their_first_line(runner: Runner) -> None:
    outcome = runner.run(f"#!{sys.executable} -u -E\nimport sys\nprint(sys.flags.ignore_environment, sys.argv[0])")
    assert outcome.stdout.startswith(b"1 /")


def test_scripts_run_from_a_folder_where_nothing_may_be_executed(runner: Runner, tmp_path: Path) -> None:
    with small_disk(tmp_path / "noexec", 1 << 20) as folder:
        remount = subprocess.run(["mount", "-o", "remount,noexec", str(folder)], capture_output=True, check=False)
        if remount.returncode:
            skip_without("the right to remount a disk noexec", "Run these tests as root in a container.")
        runner.home = folder
        assert runner.run("#!/bin/sh\necho still runs").stdout == b"still runs\n"


def test_the_largest_script_of_chinese_text_comes_back_whole(runner: Runner) -> None:
    text = "你好，世界。" * 1300
    content = f"cat <<'END'\n{text}\nEND\n".encode()
    assert 23_000 < len(content) < 24_576
    outcome = runner.run(content)
    assert outcome.stdout.decode() == text + "\n"
    assert outcome.record.output.dropped_bytes == 0


def test_nul_and_invalid_utf8_survive_to_the_byte(runner: Runner) -> None:
    outcome = runner.run(r"printf 'a\000b\377\376\303('; printf '\200\201' >&2")
    assert outcome.stdout == b"a\0b\xff\xfe\xc3("
    assert outcome.stderr == b"\x80\x81"


def test_output_is_read_to_its_end_though_nobody_waits_for_background_processes(runner: Runner) -> None:
    """A supervisor that comes to look when that time is up is no different: on a busy machine, after a sleep of it."""
    outcome = runner.run("sleep 5 & echo out; seq 20000 >&2; kill $!", drain_seconds=0, output_limit_bytes=1 << 20)
    assert outcome.stdout == b"out\n"
    assert outcome.stderr.endswith(b"\n20000\n")


def test_reading_standard_input_finds_its_end(runner: Runner) -> None:
    assert runner.run("cat; read x; echo read said $?").stdout == b"read said 1\n"


def test_closing_all_output_does_not_end_the_script(runner: Runner) -> None:
    outcome = runner.run("exec >&- 2>&-; sleep 0.2; exit 7", timeout_seconds=10)
    assert outcome.record.exit_code == 7


def test_a_script_starts_with_a_clean_environment_and_the_facts(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "1")
    outcome = runner.run(
        "env -0", parameters={"log-dir": "a 'b' $c\n", "n": ""}, environment={"PATH": "/bin:/usr/bin", "EXTRA": "1"}
    )
    found = dict(item.split("=", 1) for item in outcome.stdout.decode().split("\0") if item)
    found.pop("PWD", None)
    deadline = int(found.pop("CA_DEADLINE"))
    assert deadline == pytest.approx(outcome.record.started_ms / 1000 + 60, abs=10)
    me = pwd.getpwuid(os.geteuid())
    assert found == {
        "HOME": me.pw_dir,
        "USER": me.pw_name,
        "LOGNAME": me.pw_name,
        "SHELL": me.pw_shell,
        "PATH": "/bin:/usr/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",
        "EXTRA": "1",
        "CA_INVOKE_ID": "t-1",
        "CA_EXECUTION_ID": outcome.record.execution_id,
        "CA_INSTANCE_ID": "i-1",
        "CA_COMMAND_ID": "c-1",
        "CA_COMMAND_NAME": "test",
        "CA_ATTEMPT": "1",
        "CA_PARAM_LOG_DIR": "a 'b' $c\n",
        "CA_PARAM_N": "",
    }


def test_a_script_runs_where_it_was_told(runner: Runner, tmp_path: Path) -> None:
    assert runner.run("pwd", working_directory=str(tmp_path)).stdout.decode() == f"{tmp_path}\n"


def test_a_script_is_alone_in_its_session_with_three_descriptors(runner: Runner) -> None:
    outcome = runner.run(
        "ls /proc/self/fd | wc -w; cut -d' ' -f6 /proc/$$/stat; echo $$; umask; readlink /proc/$$/fd/0"
    )
    descriptor_count, session, pid, umask, stdin = outcome.stdout.decode().split()
    assert int(descriptor_count) == 4  # with the one that ls reads the folder by
    assert session == pid
    assert umask == "0022"
    assert stdin == "/dev/null"


def test_no_signal_is_ignored_or_blocked_in_a_script(runner: Runner) -> None:
    outcome = runner.run("grep -E 'Sig(Blk|Ign)' /proc/self/status")
    masks = [int(line.split()[1], 16) for line in outcome.stdout.decode().splitlines()]
    # 32 and 33 are the C library's own: its posix_spawn(), which Python uses since 3.13, may leave them ignored.
    assert [mask & ~(0b11 << 31) for mask in masks] == [0, 0]


def test_the_script_file_is_removed_and_a_record_that_nobody_takes_kept(runner: Runner) -> None:
    script = script_of("ls -l $0")
    running = runner.start(script)
    [*_, ended] = running.events()
    assert isinstance(ended, Ended)
    folder = runner.folder_of(script)
    eventually(lambda: load_exit(str(folder)), what="the record is on disk")
    assert ended.record.output.merged().startswith(b"-r-x------")
    assert sorted(path.name for path in folder.iterdir()) == ["claim", "exit.json", "started.json"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    record = load_exit(str(folder))
    assert record is not None
    assert record.output.merged() == ended.record.output.merged()
    assert json.loads((folder / "started.json").read_text())["supervisor_pid"] > 1
    running.settle(clears=False)


def test_the_script_file_is_kept_on_request(runner: Runner) -> None:
    script = script_of("true", keep_script=True)
    to_the_end(runner.start(script))
    assert (runner.folder_of(script) / "script.sh").read_bytes() == b"true"


def test_a_launcher_runs_the_file_under_the_extension_it_asked_for(runner: Runner) -> None:
    outcome = runner.run("echo $0", launcher="""/bin/sh -x '{{ACS::ScriptFileName|Ext(".py")}}'""")
    assert outcome.stdout.endswith(b"/script.py\n")
    assert outcome.stderr.startswith(b"+ echo")


def test_an_interpreter_that_vanished_after_the_check_is_reported(runner: Runner) -> None:
    interpreter = runner.home / "interpreter"
    interpreter.write_bytes(b"\x7fELF not really")
    interpreter.chmod(0o755)
    script = script_of(f"#!{interpreter}\n")
    with pytest.raises(NotStarted) as refused:
        runner.start(script)
    assert refused.value.error_code == "ExecutionException"
    assert str(interpreter) in refused.value.error_info


def test_a_variable_too_large_for_the_kernel_is_a_clear_refusal(runner: Runner) -> None:
    with pytest.raises(NotStarted, match="Argument list too long"):
        runner.run("true", parameters={"big": "x" * 200_000})
