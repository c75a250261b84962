"""What deploy/production holds is what its own systems accept."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_assistant.producer.gateway.serving.server import NOTICE_SECONDS, STOP_SECONDS
from harness.needs import skip_without

PRODUCTION = Path(__file__).resolve().parents[3] / "deploy" / "production"
UNITS = sorted((PRODUCTION / "systemd").iterdir())
#: systemd's own measure from 0 to 10; under 2 it says that a service is well shut in.
EXPOSURE_MAX = 2.0


def needs_systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        skip_without("systemd-analyze", "Install systemd.")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    needs_systemd()
    program = tmp_path / "program"
    program.touch(mode=0o755)
    for other in UNITS:
        text = re.sub(r"^ExecStart=\S+", f"ExecStart={program}", other.read_text(encoding="utf-8"), flags=re.MULTILINE)
        # As an instance of the template.
        (tmp_path / other.name.replace("@.", "@1.")).write_text(text, encoding="utf-8")
    copy = tmp_path / unit.name.replace("@.", "@1.")
    command = ["systemd-analyze", "verify", "--man=no", "--generators=no", str(copy)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stderr
    assert copy.name not in outcome.stderr, outcome.stderr


@pytest.mark.parametrize("unit", [path for path in UNITS if path.suffix == ".service"], ids=lambda path: path.name)
def test_the_service_is_shut_in(unit: Path) -> None:
    needs_systemd()
    if "copy-users" in unit.name:
        pytest.skip("runs for a moment only")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if "offline" in outcome.stderr:
        skip_without("systemd 250 or later", "Use a newer distribution.")

    found = re.search(r"Overall exposure level for .*: ([\d.]+)", outcome.stdout)
    assert found, outcome.stdout + outcome.stderr
    assert float(found.group(1)) <= EXPOSURE_MAX, outcome.stdout


def test_a_gateway_has_the_time_that_it_takes_to_stop() -> None:
    text = (PRODUCTION / "systemd" / "cloud-assistant-gateway.service").read_text(encoding="utf-8")
    [granted_seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(granted_seconds) > STOP_SECONDS + NOTICE_SECONDS


def test_the_alerts_are_on_metrics_that_there_are() -> None:
    metrics = (PRODUCTION.parents[1] / "producer" / "metrics.py").read_text(encoding="utf-8")
    text = (PRODUCTION / "alerts.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"\bcloud_assistant_\w+", text))

    assert named
    for name in named:
        assert name in metrics, f"{name} is no metric of the gateway"


def test_the_containers_start_programs_and_use_files_that_there_are() -> None:
    compose = (PRODUCTION / "containers" / "compose.yaml").read_text(encoding="utf-8")
    setup = (PRODUCTION.parents[1] / "setup.py").read_text(encoding="utf-8")

    for program in re.findall(r"\[(assist-\w+),", compose):
        assert f'"{program} = ' in setup
    for name in re.findall(r"dockerfile: (\S+)", compose):
        assert (PRODUCTION.parents[1] / name).is_file()
    dockerfile = (PRODUCTION / "containers" / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--)(.+)$", dockerfile, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (PRODUCTION.parents[1] / name).exists(), f"{name} is copied into the image and does not exist"


def test_the_guide_installs_every_file_that_a_unit_starts() -> None:
    guide = (PRODUCTION.parent / "PRODUCTION.md").read_text(encoding="utf-8")
    started = {name for unit in UNITS for name in re.findall(r"/usr/local/\S+", unit.read_text(encoding="utf-8"))}

    assert started
    for name in started:
        assert re.search(rf"^\s*install .* {name}$", guide, re.MULTILINE), f"nothing installs {name}"


def test_the_settings_of_the_containers_belong_to_the_user_that_reads_them() -> None:
    dockerfile = (PRODUCTION / "containers" / "Dockerfile").read_text(encoding="utf-8")
    compose = (PRODUCTION / "containers" / "compose.yaml").read_text(encoding="utf-8")
    user_id = re.search(r"useradd .*--uid (\d+)", dockerfile)

    assert user_id
    # They are 0600, and a file as a secret keeps its owner.
    assert f"chown {user_id[1]} secrets/*.toml" in compose


@pytest.mark.parametrize(
    ("script", "arguments", "said"),
    [
        ("make-users", ("--redis", "nonsense", "--out", "users"), "scheme '' is not known"),
        ("make-users", ("--redis", "redis://h:1/0", "--out", "/dev/null/users"), "Not a directory"),
        ("copy-users", ("--file", "nowhere.toml"), "nowhere.toml cannot be used"),
        ("copy-users", ("--file", "half.toml"), "half.toml does not say 'to'"),
        ("copy-users", ("--file", "wrong.toml"), "scheme '' is not known"),
    ],
)
def test_what_a_script_cannot_use_is_wrong_usage(
    script: str, arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "half.toml").write_text('from = "redis://127.0.0.1:1/0"\n')
    (tmp_path / "wrong.toml").write_text('from = "redis://127.0.0.1:1/0"\nto = ["nonsense"]\n')
    command = [sys.executable, str(PRODUCTION / "redis" / script), *arguments]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_name_that_no_certificate_can_have_is_told_and_changes_nothing(tmp_path: Path) -> None:
    make_test_ca(tmp_path / "ca", "redis.example")
    before = {path.name: path.read_bytes() for path in (tmp_path / "ca").iterdir()}
    refused = make_test_ca(tmp_path / "ca", "10.0.1")
    assert refused.returncode == 2
    assert "bad ip address" in refused.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "ca").iterdir()} == before


def test_a_ca_that_was_cut_off_behind_its_key_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "ca.key").touch()
    made = make_test_ca(tmp_path / "ca")
    assert made.returncode == 0, made.stderr
    verify = ["openssl", "verify", "-CAfile", "ca.crt", "server.crt", "client.crt"]
    subprocess.run(verify, cwd=tmp_path / "ca", check=True, capture_output=True)


def make_test_ca(folder: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    command = [str(PRODUCTION.parent / "make-test-ca"), str(folder), *names]
    return subprocess.run(command, capture_output=True, text=True, check=False)
