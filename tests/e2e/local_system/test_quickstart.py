"""`deploy/quickstart`: the seed's example, from nothing, with no other step."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import proc, reaper
from harness.eventually import eventually
from harness.ports import reserve_port
from harness.processes import Program, clean_environment

CHECKOUT = Path(__file__).parents[3]
COPIED = ("broker_config", "producer", "worker", "beat", "deploy")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    left = reaper.kill_users_of(tmp_path)
    assert left == []


@pytest.fixture
def checkout(folder: Path) -> Path:
    """A copy of this checkout, so that nothing lands in the real one."""
    copy = folder / "a checkout"
    copy.mkdir()
    for name in COPIED:
        shutil.copytree(CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "requirements.txt", "README.md"):
        shutil.copy2(CHECKOUT / name, copy / name)
    return copy


@pytest.fixture
def made_environment(folder: Path, checkout: Path) -> dict[str, str]:
    """Variables that name an environment which needs no making: this one, under another name."""
    venv = folder / "venv"
    venv.mkdir()
    for name in ("bin", "lib"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy2(Path(sys.prefix) / "pyvenv.cfg", venv)
    made_from = [(checkout / name).read_bytes() for name in ("setup.py", "requirements.txt")]
    text = b"\0".join([*made_from, str(checkout).encode(), sys.version.encode()])
    (venv / "fingerprint-control").write_text(hashlib.sha256(text).hexdigest() + "\n")
    return clean_environment(folder, {"CLOUD_ASSISTANT_VENV": str(venv)})


def once(
    checkout: Path, environment: dict[str, str], within_seconds: float = 250
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [checkout / "deploy/quickstart", "--once"],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within_seconds,
        check=False,
    )


def assert_the_seeds_example(outcome: "subprocess.CompletedProcess[str]") -> None:
    assert outcome.returncode == 0, outcome.stderr
    words = [line.split() for line in outcome.stdout.splitlines()]
    for pair in (["Status", "Success"], ["ExitCode", "0"], ["Output", "123"], ["OutputBase64", "MTIzCg=="]):
        assert pair in words


def test_once_prints_the_result_and_leaves_nothing_running(
    checkout: Path, made_environment: dict[str, str], folder: Path
) -> None:
    assert_the_seeds_example(once(checkout, made_environment))
    assert proc.processes_using(folder) == []
    assert not (checkout / ".quickstart/up.lock").exists()


def test_a_wrong_result_is_an_error(checkout: Path, made_environment: dict[str, str]) -> None:
    # The environment of `tests/run` serves as well.
    made = Path(made_environment["CLOUD_ASSISTANT_VENV"])
    (made / "fingerprint-control").rename(made / "fingerprint")
    script = checkout / "deploy/quickstart"
    script.write_text(script.read_text().replace("ZWNobyAxMjM=", "ZWNobyAxMjQ="))
    outcome = once(checkout, made_environment)
    assert outcome.returncode == 1
    assert "MTI0Cg==" in outcome.stdout
    assert "this should have been Success and MTIzCg==" in outcome.stderr


def test_once_leaves_the_access_key_that_is_shown_once_to_the_first_start_that_shows_it(
    checkout: Path, made_environment: dict[str, str], folder: Path
) -> None:
    starts = [once(checkout, made_environment) for _ in range(2)]
    for one in starts:
        assert_the_seeds_example(one)
    # One command of that name, however often.
    assert len({line for one in starts for line in one.stdout.splitlines() if "CommandId" in line}) == 1
    program = Program(
        [checkout / "deploy/quickstart", "--", "--gateway-port=0", "--flower-port=0"],
        env=made_environment,
        cwd=folder,
        log_path=folder / "quickstart.log",
    )
    with program:
        program.wait_for_line(r"key .* secret .* \(for the gateway; shown this once\)", 40)


def test_without_once_it_stays_up_until_it_is_asked_to_end(
    checkout: Path, made_environment: dict[str, str], folder: Path
) -> None:
    ports = [f"--{name}-port={reserve_port().number}" for name in ("redis", "gateway", "flower")]
    program = Program(
        [checkout / "deploy/quickstart", "--", *ports],
        env=made_environment,
        cwd=folder,
        log_path=folder / "quickstart.log",
    )
    with program:
        program.wait_for_line(r"OutputBase64 +MTIzCg==", 40)
        assert "in another terminal" in program.log()
        os.kill(program.pid, signal.SIGTERM)
        eventually(lambda: not program.is_running, 20)
        assert program.exit_code == 0
        assert "everything has ended" in program.log()


def test_a_system_that_cannot_start_is_told_with_its_reason_and_exit_code(
    checkout: Path, made_environment: dict[str, str]
) -> None:
    outcome = once(checkout, {**made_environment, "CLOUD_ASSISTANT_REDIS_URL": "redis://127.0.0.1:1/0"})
    assert outcome.returncode == 3
    assert "no Redis at redis://127.0.0.1:1/0" in outcome.stderr
    assert "it could not start (see above)" in outcome.stderr


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("file", "is not a Python environment"),
        ("pyvenv.cfg", "is an environment that was not made by this; remove it, or name another folder"),
    ],
)
def test_what_is_no_environment_of_ours_is_left_alone(
    checkout: Path, made_environment: dict[str, str], folder: Path, file: str, said: str
) -> None:
    precious = folder / "precious"
    precious.mkdir()
    (precious / file).write_text("home = /usr/bin\n")
    outcome = once(checkout, {**made_environment, "CLOUD_ASSISTANT_VENV": str(precious)})
    assert (outcome.returncode, said in outcome.stderr) == (1, True), outcome.stderr
    assert (precious / file).exists()


def test_an_environment_whose_making_was_cut_off_is_made_anew_with_an_interpreter_of_any_path(
    checkout: Path, made_environment: dict[str, str], folder: Path
) -> None:
    python = folder / "with space" / "python3"
    python.parent.mkdir()
    # Fills no environment.
    python.write_text(
        "#!/bin/sh\ncase $1 in --version) echo Python of this test ;; -m) echo cut off >&2; exit 7 ;; esac\n"
    )
    python.chmod(0o755)
    environment = {**made_environment, "CLOUD_ASSISTANT_VENV": str(folder / "new"), "PYTHON": str(python)}
    for _ in range(2):
        outcome = once(checkout, environment)
        assert f"making {folder / 'new'} with Python of this test" in outcome.stderr
        assert outcome.returncode == 7
        assert "cut off" in outcome.stderr


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be somebody else, by setpriv"
)
def test_without_a_home_no_folder_of_everybody_is_used(made_environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        deploy = Path(name) / "deploy"
        deploy.mkdir()
        shutil.copy2(CHECKOUT / "deploy/quickstart", deploy)
        for path in (Path(name), deploy):
            path.chmod(0o755)
        # Has no folder in which it may write.
        as_nobody = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            str(deploy / "quickstart"),
            "--once",
        ]
        outcome = subprocess.run(
            as_nobody, env={"PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, text=True, timeout=60, check=False
        )
    assert outcome.returncode == 1
    assert "no place for " in outcome.stderr
    assert "/tmp/.cache" not in outcome.stderr


@pytest.mark.parametrize(
    ("option", "said"), [("--home=/elsewhere", "CLOUD_ASSISTANT_HOME=…"), ("--no-agent", "assist up --no-agent")]
)
def test_an_option_with_which_there_is_no_first_command_is_wrong_usage(
    checkout: Path, made_environment: dict[str, str], option: str, said: str
) -> None:
    command = [str(checkout / "deploy/quickstart"), "--once", "--", option]
    outcome = subprocess.run(command, env=made_environment, capture_output=True, text=True, timeout=20, check=False)
    assert outcome.returncode == 2
    assert said in outcome.stderr


def test_a_place_that_cannot_be_made_is_told_with_how_to_name_another(
    checkout: Path, made_environment: dict[str, str]
) -> None:
    outcome = once(checkout, {**made_environment, "CLOUD_ASSISTANT_HOME": "/dev/null/home"})
    assert outcome.returncode == 1
    assert "no place for " in outcome.stderr
    assert "name others: CLOUD_ASSISTANT_VENV=… CLOUD_ASSISTANT_HOME=…" in outcome.stderr


def test_an_unknown_option_is_wrong_usage(checkout: Path, made_environment: dict[str, str]) -> None:
    outcome = subprocess.run(
        [checkout / "deploy/quickstart", "--nope"],
        env=made_environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert outcome.returncode == 2
    assert "--nope" in outcome.stderr


@pytest.mark.slow
@pytest.mark.timeout(650)
def test_a_fresh_checkout_with_nothing_but_python_and_a_package_index(checkout: Path, folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http", "HTTP"))}
    base = {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    outcome = once(checkout, {**base, **kept}, within_seconds=600)
    assert_the_seeds_example(outcome)
    assert f"making {checkout}/.venv" in outcome.stderr
    # Where pip is not told otherwise, it keeps a cache of its own.
    assert [one for one in home.iterdir() if one.name != ".cache"] == []
    assert proc.processes_using(folder) == []
