"""Each generated file is one that its own system can read."""

import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from cloud_assistant.worker.service.catalogue import SYSTEMS, detect
from cloud_assistant.worker.service.plan import SERVICE_NAME, ServicePlan
from harness.needs import skip_without

PLAN = ServicePlan(program="/opt/cloud-assistant/current/bin/assist-agent")
AWKWARD = ServicePlan(program="/opt/with space/$x/it's", config="/etc/a b.toml", home="/var/h ome", log_folder="/l%og")


@pytest.mark.parametrize("plan", [PLAN, AWKWARD], ids=["ordinary", "awkward paths"])
@pytest.mark.parametrize("name", ["sysv", "openrc", "freebsd"])
@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_a_shell_can_read_the_script(name: str, shell: str, plan: ServicePlan) -> None:
    if shutil.which(shell) is None:
        skip_without(shell, f"Install {shell}.")
    script = SYSTEMS[name].files(plan)[0].text
    outcome = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stderr
    assert "@" not in script.replace("$@", "")


@pytest.mark.parametrize("name", ["sysv", "openrc", "freebsd"])
def test_shellcheck_finds_nothing_in_the_script(name: str) -> None:
    if shutil.which("shellcheck") is None:
        skip_without("shellcheck", "Install your distribution's shellcheck.")
    script = SYSTEMS[name].files(PLAN)[0].text
    command = ["shellcheck", "--shell=sh", "--severity=warning", "-"]
    outcome = subprocess.run(command, input=script, capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize("is_hardened", [False, True])
def test_systemd_accepts_the_unit(tmp_path: Path, is_hardened: bool) -> None:
    if shutil.which("systemd-analyze") is None:
        skip_without("systemd-analyze", "Install systemd.")
    program = tmp_path / "with space" / "assist-agent"
    program.parent.mkdir()
    program.touch(mode=0o755)
    plan = ServicePlan(program=str(program), home=str(tmp_path / "100%"), is_hardened=is_hardened)
    unit = tmp_path / f"{SERVICE_NAME}.service"
    unit.write_text(SYSTEMS["systemd"].files(plan)[0].text, encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", "--generators=no", str(unit)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stderr
    assert unit.name not in outcome.stderr, outcome.stderr


def test_systemd_ends_the_agent_alone_and_watches_it() -> None:
    unit = SYSTEMS["systemd"].files(PLAN)[0].text

    assert "\nKillMode=process\n" in unit
    assert "\nType=notify\n" in unit
    assert "\nWatchdogSec=" in unit
    assert f"\nConditionPathExists={PLAN.config}\n" in unit
    assert "NoNewPrivileges" not in unit, "scripts may do what an administrator may"


def test_systemd_starts_the_agent_again_for_ever_unless_a_setting_is_wrong() -> None:
    unit = SYSTEMS["systemd"].files(PLAN)[0].text

    assert "\nStartLimitIntervalSec=0\n" in unit
    assert "\nRestart=always\n" in unit
    assert "\nRestartPreventExitStatus=2\n" in unit


def test_systemd_leaves_the_control_groups_of_scripts_to_the_agent() -> None:
    unit = SYSTEMS["systemd"].files(PLAN)[0].text

    assert "\nDelegate=yes\n" in unit
    assert "\nTasksMax=infinity\n" in unit


def test_systemd_takes_no_part_of_a_path_for_a_variable_or_a_specifier() -> None:
    plan = ServicePlan(program="/opt/${HOME}/agent", config="/etc/100%h/a b.toml", home="/srv/${HOME}/100%h")
    unit = SYSTEMS["systemd"].files(plan)[0].text

    assert "\nConditionPathExists=/etc/100%%h/a b.toml\n" in unit
    assert '\nExecStart=/opt/$${HOME}/agent run --config "/etc/100%%h/a b.toml"\n' in unit
    # Nothing is put in there, so the sign is no special one.
    assert "\nEnvironment=CLOUD_ASSISTANT_HOME=/srv/${HOME}/100%%h\n" in unit


def test_openrc_starts_the_program_whatever_its_path_and_ends_a_hung_one_by_force(tmp_path: Path) -> None:
    script = tmp_path / "openrc-script"
    script.write_text(SYSTEMS["openrc"].files(AWKWARD)[0].text, encoding="utf-8")
    # This is what OpenRC's supervise-daemon.sh makes of it.
    shell = '. "$1"; eval set -- $command -- $command_args; printf "%s\n" "$retry" "$@"'
    shell += '; eval set -- $error_log; echo "$#$1"'
    outcome = subprocess.run(["sh", "-c", shell, "sh", script], capture_output=True, text=True, check=True)

    assert outcome.stdout.splitlines() == [
        *("TERM/15/KILL/5", AWKWARD.program, "--", "run", "--config", AWKWARD.config),
        f"1{AWKWARD.log_folder}/service.log",
    ]


def test_openrc_starts_the_agent_where_no_service_is_the_network() -> None:
    depend = SYSTEMS["openrc"].files(PLAN)[0].text.split("depend() {")[1].split("}")[0]

    assert "need" not in depend.split(), "OpenRC refuses to start what needs a service that is not there"


def test_the_property_list_names_the_program_and_leaves_scripts_alone() -> None:
    content = plistlib.loads(SYSTEMS["launchd"].files(AWKWARD)[0].text.encode())

    assert content["ProgramArguments"] == [AWKWARD.program, "run", "--config", AWKWARD.config]
    assert content["AbandonProcessGroup"] is True
    assert content["EnvironmentVariables"]["CLOUD_ASSISTANT_HOME"] == AWKWARD.home


def test_the_upstart_scripts_can_be_read_by_a_shell() -> None:
    text = SYSTEMS["upstart"].files(AWKWARD)[0].text
    for kind in ("pre-start script", "\nscript", "post-stop script"):
        body = text.split(f"{kind}\n")[1].split("end script")[0]
        outcome = subprocess.run(["sh", "-n"], input=body, capture_output=True, text=True, check=False)
        assert outcome.returncode == 0, outcome.stderr
    assert "expect " not in text, "the agent stays in the foreground"


@pytest.mark.parametrize(("status", "pauses"), [("x start/post-stop", "5\n"), ("x stop/post-stop", "")])
def test_upstart_pauses_before_it_starts_a_dead_agent_again(tmp_path: Path, status: str, pauses: str) -> None:
    body = SYSTEMS["upstart"].files(PLAN)[0].text.split("post-stop script\n")[1].split("end script")[0]
    shell = f'initctl() {{ echo "{status}"; }}; sleep() {{ echo "$1"; }}; UPSTART_JOB=x; {body}'
    outcome = subprocess.run(["sh", "-euc", shell], capture_output=True, text=True, check=True)

    assert outcome.stdout == pauses


def test_upstart_starts_the_agent_on_distributions_that_tell_of_no_network_device() -> None:
    assert "\nstart on runlevel [2345]\n" in SYSTEMS["upstart"].files(PLAN)[0].text


def test_the_windows_script_quotes_the_program() -> None:
    text = SYSTEMS["windows"].files(AWKWARD)[0].text

    assert (
        "-Execute '/opt/with space/$x/it''s' -Argument 'run --config \"/etc/a b.toml\" --home \"/var/h ome\"'" in text
    )
    assert text.count(f"-TaskName '{SERVICE_NAME}'") == 3


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (["usr/lib/systemd/systemd", "etc/init.d/x"], "systemd"),
        (["sbin/openrc-run", "etc/init.d/x"], "openrc"),
        (["sbin/initctl", "etc/init/x", "etc/init.d/x"], "upstart"),
        (["etc/init.d/x"], "sysv"),
        (["etc/rc.subr"], "freebsd"),
        (["bin/launchctl"], "launchd"),
    ],
)
def test_the_service_manager_of_an_image_is_found(tmp_path: Path, made: list[str], expected: str) -> None:
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = detect(tmp_path)

    assert found is not None
    assert found.name == expected


def test_an_image_without_a_service_manager_has_none(tmp_path: Path) -> None:
    assert detect(tmp_path) is None
