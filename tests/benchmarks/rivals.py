"""Other tools on this machine, beside the floor of the same run: one command to one target, ``echo 123``.

Optional (``run.py --rivals``): packages come from the package index into a folder of their own, and the tools that use
ssh need a ``sshd``, of which one of our own runs on loopback. What cannot be installed or started is left out, with
the reason. Salt needs daemons with keys, roots and start-up of its own and is not measured here.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import floor
from benchmarks.figures import Figure, Scale
from benchmarks.rig import Rig

from harness.eventually import eventually
from harness.ports import reserve_port
from harness.processes import Program, clean_environment

_INSTALL_SECONDS = 180
_SSHD_PATH = "/usr/sbin:/usr/local/sbin:/sbin"

#: Programs that print a JSON list of seconds; they get the port, the key, the user and the number of rounds.
_PARALLEL_SSH = """
import json, socket, sys, time
from pssh.clients import ParallelSSHClient
port, key, user, rounds, no_delay = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:]
client = ParallelSSHClient(["127.0.0.1"], port=port, user=user, pkey=key)
times = []
for _ in range(rounds):
    began = time.perf_counter()
    client_output = client.run_command("echo 123")
    client.join(client_output)
    if no_delay:
        for one in client._host_clients.values():
            one.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert list(client_output[0].stdout) == ["123"] and client_output[0].exit_code == 0
    times.append(time.perf_counter() - began)
print(json.dumps(times))
"""
_CLUSTERSHELL = """
import json, sys, time
from ClusterShell.Task import task_self
port, key, user, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
task = task_self()
task.set_info("ssh_path", "ssh -F " + key + ".config")
task.set_info("ssh_user", user)
times = []
for _ in range(rounds):
    began = time.perf_counter()
    task.run("echo 123", nodes="127.0.0.1")
    assert [bytes(text) for text, _ in task.iter_buffers()] == [b"123"]
    times.append(time.perf_counter() - began)
print(json.dumps(times))
"""


class NotMeasured(Exception):
    """A rival cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Ssh:
    """A server of our own, and how to log in there."""

    port: int
    key: Path
    user: str
    home: Path

    @property
    def config(self) -> Path:
        """A client's configuration that keeps one connection open."""
        return self.key.with_name(self.key.name + ".config")


def figures(scale: Scale, folder: Path) -> tuple[list[Figure], list[str]]:
    """Measure what can be; return the figures, and a line for each rival that was left out."""
    found: list[Figure] = []
    left_out: list[str] = []
    rounds = scale.of(50, 3)
    with Rig(folder) as rig, _sshd(folder / "ssh") as (ssh, why):
        rig.start_floor(["one"])
        for name, measure in _RIVALS.items():
            try:
                if ssh is None:
                    raise NotMeasured(why)
                times = sorted(measure(ssh, folder, rounds)[rounds // 10 :])
            except NotMeasured as exc:
                left_out.append(f"{name} was not measured: {exc}")
                continue
            base = median(floor.round_trip(rig.assistant.redis, "one", "echo 123") for _ in range(rounds))
            found.append(Figure(f"rival: {name}, one target, p50", "ms", median(times) * 1e3, base * 1e3))
    return found, left_out


def _openssh(ssh: Ssh, _: Path, rounds: int) -> list[float]:
    return _processes(["ssh", "-F", str(ssh.config), "127.0.0.1", "echo 123"], ssh, rounds)


def _ansible(ssh: Ssh, folder: Path, rounds: int) -> list[float]:
    program = _installed("ansible-core", folder) / "ansible"
    arguments = f"-F {ssh.config}"
    argv = [str(program), "all", "-i", "127.0.0.1,", "-m", "raw", "-a", "echo 123", "--ssh-common-args", arguments]
    return _processes(argv, ssh, max(2, rounds // 5))


def _parallel_ssh(ssh: Ssh, folder: Path, rounds: int) -> list[float]:
    return _own_times("parallel-ssh", _PARALLEL_SSH, ssh, folder, rounds)


def _parallel_ssh_no_delay(ssh: Ssh, folder: Path, rounds: int) -> list[float]:
    return _own_times("parallel-ssh", _PARALLEL_SSH, ssh, folder, rounds, "no delay")


def _clustershell(ssh: Ssh, folder: Path, rounds: int) -> list[float]:
    return _own_times("clustershell", _CLUSTERSHELL, ssh, folder, rounds)


_RIVALS = {
    "openssh, connection kept open, whole process": _openssh,
    "parallel-ssh, connection kept open": _parallel_ssh,
    "parallel-ssh, connection kept open, its sockets set to TCP_NODELAY": _parallel_ssh_no_delay,
    "clustershell, connection kept open": _clustershell,
    "ansible-core, module raw, whole process": _ansible,
}


def _processes(argv: Sequence[str], ssh: Ssh, rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        done = subprocess.run(argv, env=_environment(ssh), capture_output=True, check=False, timeout=60)
        times.append(time.perf_counter() - began)
        if b"123" not in done.stdout or done.returncode:
            raise NotMeasured(f"{argv[0]} ended with {done.returncode}: {done.stderr.decode()[-300:]}")
    return times


def _own_times(package: str, program: str, ssh: Ssh, folder: Path, rounds: int, *more: str) -> list[float]:
    python = _installed(package, folder) / "python"
    argv = [str(python), "-c", program, str(ssh.port), str(ssh.key), ssh.user, str(rounds), *more]
    done = subprocess.run(argv, env=_environment(ssh), capture_output=True, check=False, timeout=120)
    if done.returncode:
        raise NotMeasured(f"{package} failed: {done.stderr.decode()[-300:]}")
    times: list[float] = json.loads(done.stdout)
    return times


def _installed(package: str, folder: Path) -> Path:
    """The programs of a package from the index, in an environment of its own."""
    environment = folder / package
    if (environment / "bin" / "pip-done").exists():
        return environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet", package]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, capture_output=True)
        subprocess.run(pip, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
        (environment / "bin" / "pip-done").touch()
    except subprocess.CalledProcessError as exc:
        raise NotMeasured(f"{package} cannot be installed: {exc.stderr.decode()[-300:]}") from exc
    except subprocess.TimeoutExpired as exc:
        raise NotMeasured(f"{package} was not installed within {_INSTALL_SECONDS} s") from exc
    return environment / "bin"


@contextmanager
def _sshd(folder: Path) -> Iterator[tuple[Ssh | None, str]]:
    """Run a server for keys only, on a free loopback port; ``None`` and the reason where that cannot be."""
    server = shutil.which("sshd") or shutil.which("sshd", path=_SSHD_PATH)
    if server is None or shutil.which("ssh-keygen") is None:
        yield None, "there is no sshd or no ssh-keygen on this machine"
        return
    folder.mkdir(parents=True)
    if os.geteuid() == 0:
        # Where no service has started sshd yet, the folder that it insists on is missing.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True, capture_output=True
        )
    reserved = reserve_port()
    user = pwd.getpwuid(os.geteuid()).pw_name
    ssh = Ssh(reserved.number, folder / "key", user, folder)
    settings = {
        "Port": ssh.port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "key.pub",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "UsePAM": "no",
        "StrictModes": "no",
        "PidFile": "none",
        "MaxSessions": 100,
        # The shell's own start-up files would be measured otherwise.
        "SetEnv": f"HOME={folder}",
    }
    _write(folder / "sshd_config", settings)
    client = {
        "Port": ssh.port,
        "User": user,
        "IdentityFile": ssh.key,
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "ControlMaster": "auto",
        "ControlPath": folder / "mux-%p",
        "ControlPersist": 60,
    }
    _write(ssh.config, client)
    program = Program(
        [server, "-D", "-e", "-f", folder / "sshd_config"],
        env=clean_environment(folder),
        cwd=folder,
        log_path=folder / "sshd.log",
    )
    try:
        program.start()
        eventually(lambda: "listening on" in program.log() or not program.is_running, 10, "sshd listens")
        yield (ssh if program.is_running else None), f"sshd did not start: {program.log().strip()[-200:]}"
    finally:
        subprocess.run(["ssh", "-F", ssh.config, "-O", "exit", "127.0.0.1"], check=False, capture_output=True)
        program.stop()
        reserved.release()


def _write(path: Path, settings: Mapping[str, object]) -> None:
    path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")


def _environment(ssh: Ssh) -> dict[str, str]:
    return clean_environment(ssh.home)
