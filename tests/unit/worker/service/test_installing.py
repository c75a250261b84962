import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.worker.cli import main
from cloud_assistant.worker.service.catalogue import SYSTEMS, ServiceSystem, detect
from cloud_assistant.worker.service.installing import control, uninstall
from cloud_assistant.worker.service.plan import SERVICE_NAME, ServicePlan
from harness.disk import fill, small_disk


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or path.is_file())


@pytest.mark.parametrize("name", ["systemd", "sysv", "openrc", "upstart", "freebsd", "launchd"])
def test_an_image_gets_the_service_and_loses_it_again(tmp_path: Path, name: str) -> None:
    runner = CliRunner()
    for _ in range(2):
        installed = runner.invoke(main, ["install", "--system", name, "--root", str(tmp_path)])
        assert installed.exit_code == 0, installed.output
    wanted = set(SYSTEMS[name].links)
    assert wanted <= set(files_below(tmp_path))
    assert files_below(tmp_path)
    for folder in ("var/lib/cloud-assistant", "var/log/cloud-assistant", "etc/cloud-assistant"):
        assert oct((tmp_path / folder).stat().st_mode & 0o777) == "0o700", folder

    removed = runner.invoke(main, ["uninstall", "--system", name, "--root", str(tmp_path)])

    assert removed.exit_code == 0, removed.output
    assert files_below(tmp_path) == []
    assert (tmp_path / "var/lib/cloud-assistant").is_dir()
    assert "there is no service" not in removed.output
    again = runner.invoke(main, ["uninstall", "--system", name, "--root", str(tmp_path)])
    assert (again.exit_code, f"there is no service of the agent for {name} here" in again.output) == (0, True)


def test_a_full_disk_leaves_no_half_of_a_service(tmp_path: Path) -> None:
    with small_disk(tmp_path / "image", 1 << 20) as image:
        (image / "etc/init.d").mkdir(parents=True)
        fill(image)
        outcome = CliRunner().invoke(main, ["install", "--system", "sysv", "--root", str(image)])
        assert (outcome.exit_code, "No space left" in outcome.output) == (4, True)
        assert files_below(image) == ["ballast"]


def test_a_service_manager_that_is_not_here_is_not_said_to_have_run() -> None:
    said: list[str] = []
    with pytest.raises(Refused):
        control(("/no/such/manager", "start"), said.append)
    assert said == []


def test_the_service_manager_of_the_image_is_used_when_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "etc/init.d").mkdir(parents=True)

    outcome = CliRunner().invoke(main, ["install", "--root", str(tmp_path)])

    assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "etc/init.d" / SERVICE_NAME).stat().st_mode & 0o111
    assert (tmp_path / f"etc/rc2.d/S95{SERVICE_NAME}").resolve() == tmp_path / "etc/init.d" / SERVICE_NAME


def test_a_program_of_upstarts_name_is_not_upstart(tmp_path: Path) -> None:
    for folder in ("sbin", "etc/init.d"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sbin/initctl").touch()
    assert detect(tmp_path) is SYSTEMS["sysv"]
    (tmp_path / "etc/init").mkdir()
    assert detect(tmp_path) is SYSTEMS["upstart"]


def test_an_image_without_a_service_manager_is_refused_with_the_names_of_those_known(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["install", "--root", str(tmp_path)])

    assert outcome.exit_code == 4
    assert "systemd" in outcome.output


def test_the_file_of_a_package_is_not_written_a_second_time(tmp_path: Path) -> None:
    unit = tmp_path / f"usr/lib/systemd/system/{SERVICE_NAME}.service"
    unit.parent.mkdir(parents=True)
    unit.touch()

    outcome = CliRunner().invoke(main, ["install", "--system", "systemd", "--root", str(tmp_path)])

    assert outcome.exit_code == 0, outcome.output
    assert not (tmp_path / f"etc/systemd/system/{SERVICE_NAME}.service").exists()
    wanted = tmp_path / f"etc/systemd/system/multi-user.target.wants/{SERVICE_NAME}.service"
    assert wanted.readlink() == Path("/") / unit.relative_to(tmp_path)


def test_a_package_takes_no_option_away_from_the_service(tmp_path: Path) -> None:
    unit = tmp_path / f"usr/lib/systemd/system/{SERVICE_NAME}.service"
    unit.parent.mkdir(parents=True)
    unit.touch()

    given = ["--home", "/srv/agent", "--harden"]
    outcome = CliRunner().invoke(main, ["install", "--system", "systemd", "--root", str(tmp_path), *given])

    assert outcome.exit_code == 0, outcome.output
    # systemd prefers this one to the package's.
    written = (tmp_path / f"etc/systemd/system/{SERVICE_NAME}.service").read_text()
    assert "CLOUD_ASSISTANT_HOME=/srv/agent" in written
    assert "NoNewPrivileges=yes" in written

    usual = CliRunner().invoke(main, ["install", "--system", "systemd", "--root", str(tmp_path)])

    assert "the package's own file is used" in usual.output
    assert not (tmp_path / f"etc/systemd/system/{SERVICE_NAME}.service").exists(), "it would still come first"


def test_the_service_of_a_package_is_stopped_and_taken_from_the_start_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "unit").touch()
    done, said = tmp_path / "done", list[str]()
    tell = ("sh", "-c", f'echo "$0" >> {done}')
    system = ServiceSystem(
        name="packaged",
        files=lambda _: [],
        is_present=lambda _: True,
        packaged=(str(tmp_path / "unit").lstrip("/"),),
        disable=((*tell, "disabled"),),
        start=(),
        stop=(*tell, "stopped"),
        restart=(),
    )

    uninstall(system, ServicePlan(program="/bin/true"), Path("/"), said.append)

    assert done.read_text().split() == ["stopped", "disabled"]
    assert (tmp_path / "unit").exists()
    assert "goes with the package" in said[-1]

    (tmp_path / "unit").unlink()
    uninstall(system, ServicePlan(program="/bin/true"), Path("/"), said.append)

    assert said[-1] == "there is no service of the agent for packaged here"
    assert done.read_text().split() == ["stopped", "disabled"], "nobody is told to stop what is not there"


def test_a_service_file_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = tmp_path / f"etc/systemd/system/{SERVICE_NAME}.service"
    forced = []
    force = os.fsync

    def noted(descriptor: int) -> None:
        forced.append((os.fstat(descriptor).st_size > 0, unit.exists()))
        force(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    CliRunner().invoke(main, ["install", "--system", "systemd", "--root", str(tmp_path)])
    assert forced == [(True, False)]


@pytest.mark.parametrize("name", ["systemd", "sysv", "openrc", "upstart", "freebsd", "launchd"])
def test_the_usual_folders_are_left_to_the_settings_file(name: str) -> None:
    printed = CliRunner().invoke(main, ["install", "--print", "--system", name]).stdout
    assert "CLOUD_ASSISTANT_" not in printed, "it would come before the file"


def test_the_service_of_a_bundle_starts_the_version_that_is_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bundle, program in (
        (tmp_path / "versions/1.0", "current/bin/assist-agent"),
        (tmp_path / "b", "b/bin/assist-agent"),
    ):
        for file in ("bin/assist-agent", "lib/assist_agent.py"):
            (bundle / file).parent.mkdir(parents=True)
            (bundle / file).touch()
        monkeypatch.setattr("sys.argv", [str(bundle / "lib/assist_agent.py")])
        printed = CliRunner().invoke(main, ["install", "--print", "--system", "systemd"]).stdout
        assert f"ExecStart={tmp_path / program} run" in printed


def test_a_service_manager_that_may_not_be_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "manager").touch(mode=0o600)
    with pytest.raises(Refused, match=r"manager start: .*Permission denied"):
        control((str(tmp_path / "manager"), "start"), print)


def test_printing_writes_nothing(tmp_path: Path) -> None:
    arguments = ["install", "--print", "--system", "systemd", "--root", str(tmp_path), "--config", "/etc/other.toml"]
    outcome = CliRunner().invoke(main, arguments)

    assert "run --config /etc/other.toml" in outcome.output
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("option", ["--config", "--home", "--log-folder", "--program"])
def test_an_empty_path_is_not_taken_for_the_usual_one(tmp_path: Path, option: str) -> None:
    outcome = CliRunner().invoke(main, ["install", "--system", "systemd", "--root", str(tmp_path), option, ""])
    assert (outcome.exit_code, "it is empty, as an unset variable leaves it" in outcome.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_paths_are_whole_in_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["install", "--print", "--system", "systemd", "--config", "i-one.toml", "--home", "state"]
    printed = CliRunner().invoke(main, arguments).stdout
    assert f"run --config {tmp_path}/i-one.toml" in printed
    assert f"CLOUD_ASSISTANT_HOME={tmp_path}/state" in printed
    on_windows = ["install", "--print", "--system", "windows", "--config", r"C:\agent\i-one.toml"]
    assert r"C:\agent\i-one.toml" in CliRunner().invoke(main, on_windows).stdout


def test_what_the_service_manager_says_is_passed_on() -> None:
    with pytest.raises(Refused, match="ended with 3: no such service"):
        control(("sh", "-c", "echo no such service >&2; exit 3"), print)
    with pytest.raises(Refused, match="not-there"):
        control(("not-there",), print)


def test_what_the_service_manager_says_in_another_code_page_is_passed_on() -> None:
    with pytest.raises(Refused, match=r"ended with 1: auszuf.hren"):
        control(("sh", "-c", r"printf 'auszuf\201hren'; exit 1"), print)


@pytest.mark.parametrize(
    ("program", "mend"),
    [("/nowhere/init.d/agent", "make the service first: assist-agent install"), ("nowhere-ctl", "see --system")],
)
def test_a_service_that_is_not_there_is_told_with_how_to_make_it(program: str, mend: str) -> None:
    with pytest.raises(Refused) as refused:
        control((program, "start"), lambda _: None)
    assert str(refused.value) == f"there is no {program}; {mend}"


@pytest.mark.parametrize("keeper", ["update-rc.d", "chkconfig"])
def test_the_distributions_own_program_makes_the_links_of_an_init_script(
    keeper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: list[str] = []
    monkeypatch.setattr(
        "shutil.which", lambda name, path: f"/sbin/{name}" if name in here and "/sbin" in path.split(":") else None
    )
    assert SYSTEMS["sysv"].enabling() == ()
    here.append(keeper)

    assert [command[0] for command in SYSTEMS["sysv"].enabling()] == [f"/sbin/{keeper}"]
    assert [command[0] for command in SYSTEMS["sysv"].disabling()] == [f"/sbin/{keeper}"]
