"""`assist up`: one system per home, clear about what stands in its way, gone without a trace."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from cloud_assistant.broker_config.settings import load
from harness import proc
from harness.eventually import always, eventually
from harness.needs import skip_without
from harness.processes import Program
from harness.redis_server import RedisServer

from .local_up import READY, LocalUp


def ends(program: Program, within_seconds: float = 20) -> int:
    eventually(lambda: not program.is_running, within_seconds, "assist up ends")
    assert program.exit_code is not None
    return program.exit_code


def test_it_says_what_runs_where_and_what_to_type_next(local: LocalUp) -> None:
    up = local.start()
    shown = up.log()
    for fact in (
        f"redis://127.0.0.1:{local.redis_port}/0",
        f"http://127.0.0.1:{local.flower_port}",
        str(local.home / "log"),
        f"CLOUD_ASSISTANT_HOME={local.home}",
        "assist run 'echo 123' --all",
        f"kill {up.pid}",
    ):
        assert fact in shown
    password = (local.home / "redis/password").read_text().strip()
    assert password not in shown
    assert all(password not in info.command for info in local.processes())
    up.sigint()
    assert ends(up) == 0
    assert local.processes() == []


def test_what_it_proposes_works_as_it_stands_in_another_terminal(local: LocalUp) -> None:
    shown = local.start("--no-flower").log()
    proposed = [line.strip() for line in shown.partition("in another terminal:")[2].splitlines() if line[:4].isspace()]
    assert [line.split()[0] for line in proposed] == ["export", "assist", "assist", "assist"]
    other_terminal = subprocess.run(
        ["/bin/sh", "-e"],
        input="\n".join(proposed),
        env={"HOME": str(local.folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert other_terminal.returncode == 0, other_terminal.stderr
    assert "123" in other_terminal.stdout.splitlines()
    assert local.note.instance_id in other_terminal.stdout


def test_another_terminal_finds_the_gateway_at_whatever_port(local: LocalUp) -> None:
    shown = local.start("--no-flower", "--no-agent").log()
    assert "assist instance list" in shown
    assert "--all" not in shown, "there is no instance"
    (found,) = (one for one in local.assist("doctor")["Findings"] if one["Check"] == "gateway")
    assert (found["Verdict"], found["Text"]) == ("ok", f"http://127.0.0.1:{local.gateway_port}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_and_leaves_no_process_and_no_lock(local: LocalUp, number: signal.Signals) -> None:
    up = local.start("--no-flower")
    assert local.processes()
    up.send(number)
    assert ends(up) == 0
    assert local.processes() == []
    assert not (local.home / "up.lock").exists()
    assert not (local.home / "up.json").exists()
    assert f"everything has ended ({number.name})" in up.log()


def test_a_signal_during_the_start_ends_everything_too(local: LocalUp) -> None:
    up = local.program("--redis-port", str(local.redis_port)).start(ready="Cloud Assistant")
    up.sigint()
    assert ends(up) == 0
    assert local.processes() == []


def test_a_second_one_on_the_same_home_is_told_that_one_runs(local: LocalUp) -> None:
    up = local.start("--no-flower")
    before = {info.pid for info in local.processes()}
    second = local.run("--redis-port", str(local.redis_port + 1))
    assert second.returncode == 4
    assert f"already runs on {local.home} (pid {up.pid}" in second.stderr
    assert f"redis://127.0.0.1:{local.redis_port}/0" in second.stderr
    assert up.is_running
    assert {info.pid for info in local.processes()} == before


def test_taken_ports_are_named_with_who_has_them_and_the_way_out(local: LocalUp) -> None:
    with (
        socket.create_server(("127.0.0.1", local.redis_port)),
        socket.create_server(("127.0.0.1", local.flower_port)),
    ):
        outcome = local.run("--redis-port", str(local.redis_port))
    assert outcome.returncode == 4
    assert f"port {local.redis_port} for Redis is taken by" in outcome.stderr
    assert f"port {local.flower_port} for Flower is taken by" in outcome.stderr
    assert f"(pid {os.getpid()})" in outcome.stderr
    assert f"--redis-port {local.redis_port + 1}" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (local.home / "up.lock").exists()


def test_a_loopback_interface_that_is_down_is_told_at_once_with_how_to_bring_it_up(local: LocalUp) -> None:
    without_network = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*without_network, "true"], capture_output=True, check=False).returncode != 0:
        skip_without("the right to make a network namespace", "Run this test as root in a container.")
    program = local.program("--redis-port", str(local.redis_port))
    program.argv[:0] = without_network
    program.start()
    assert ends(program, 10) == 4
    assert "cannot reach one another at 127.0.0.1 (Network is unreachable)" in program.log()
    assert "as root: ip link set lo up (LoopbackDown)" in program.log()
    assert local.processes() == []


def test_data_port_and_password_survive_a_restart(local: LocalUp) -> None:
    up = local.start("--no-flower")
    with local.redis() as client:
        client.set("kept", "yes")
        client.acl_setuser("agent-one", enabled=True, nopass=True, keys=["one:*"], commands=["+get"])
        client.acl_save()
    up.sigterm()
    assert ends(up) == 0
    assert "shown this once" in up.log()
    again = local.program("--no-flower").start(ready=READY)
    assert "shown this once" not in again.log()
    with local.redis() as client:
        assert client.get("kept") == "yes"
        assert "agent-one" in client.acl_users()
        assert client.connection_pool.connection_kwargs["port"] == local.redis_port
    again.sigterm()
    assert ends(again) == 0


def test_the_server_takes_nobody_without_its_password_and_listens_on_loopback_alone(local: LocalUp) -> None:
    local.start("--no-flower", "--no-agent")
    with socket.create_connection(("127.0.0.1", local.redis_port), timeout=5) as stranger:
        stranger.sendall(b"GET x\r\n")
        assert stranger.recv(100).startswith(b"-NOAUTH")
    with local.redis() as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_program_that_is_killed_is_started_again_and_the_screen_says_so(local: LocalUp) -> None:
    up = local.start("--no-flower")
    with local.redis() as client:
        client.set("kept", "yes")
    before = local.child("Redis").pid
    os.kill(before, signal.SIGKILL)
    up.wait_for_line(r"Redis has ended \(killed by SIGKILL\); starting it again in 1 s; see redis.log")
    up.wait_for_line(r"Redis runs again")
    assert local.child("Redis").pid != before
    with local.redis() as client:
        assert client.get("kept") == "yes"


def test_a_program_that_cannot_start_shows_its_log_and_ends_everything(local: LocalUp, tmp_path: Path) -> None:
    local.start("--no-flower").stop()
    (local.home / "redis/appendonlydir/appendonly.aof.manifest").write_text("nonsense\n")
    outcome = local.run("--no-flower")
    assert outcome.returncode == 4
    assert "Redis did not start; the last lines of its log:" in outcome.stderr
    assert "manifest" in outcome.stderr
    assert str(local.home / "log/redis.log") in outcome.stderr
    assert local.processes() == []


def test_a_second_ctrl_c_does_not_wait(local: LocalUp) -> None:
    up = local.start("--no-flower", "--no-agent")
    os.kill(local.child("Redis").pid, signal.SIGSTOP)
    up.sigint()
    always(lambda: up.is_running, 0.5, "it waits for the server")
    up.sigint()
    assert ends(up, 5) == 130
    assert local.processes() == []


def test_when_it_is_killed_its_programs_end_and_the_next_one_starts(local: LocalUp) -> None:
    up = local.start("--no-flower")
    with local.redis() as client:
        client.set("kept", "yes")
    up.sigkill()
    eventually(lambda: not local.processes(), 15, "the programs end by themselves")
    again = local.start("--no-flower")
    with local.redis() as client:
        assert client.get("kept") == "yes"
    again.sigterm()
    assert ends(again) == 0


def test_a_server_that_outlived_a_killed_one_is_ended_before_the_next_starts(local: LocalUp) -> None:
    up = local.start("--no-flower", "--no-agent")
    left = local.child("Redis")
    os.kill(left.pid, signal.SIGSTOP)  # it cannot follow the kernel's SIGTERM
    up.sigkill()
    assert proc.process(left.pid)
    again = local.program("--no-flower", "--no-agent").start(ready=r"ending Redis.*: left behind by an earlier run")
    os.kill(left.pid, signal.SIGCONT)
    again.wait_for_line(READY)
    assert local.child("Redis").pid != left.pid


def test_a_named_redis_is_used_and_remembered_for_other_terminals(local: LocalUp, redis_server: RedisServer) -> None:
    up = local.program("--no-flower", "--redis-url", redis_server.url()).start(ready=READY)
    assert "(not ours)" in up.log()
    assert "Redis" not in [child.name for child in local.note.children]
    assert load({"home": str(local.home)}).settings.redis_url == redis_server.url()
    up.sigterm()
    assert ends(up) == 0
    assert redis_server.cli("PING")


def test_a_named_redis_that_is_not_there_is_told_at_once(local: LocalUp) -> None:
    outcome = local.run("--redis-url", f"redis://:secret@127.0.0.1:{local.redis_port}/0")
    assert outcome.returncode == 3
    assert f"no Redis at redis://127.0.0.1:{local.redis_port}/0 (from command line)" in outcome.stderr
    assert "secret" not in outcome.stderr
