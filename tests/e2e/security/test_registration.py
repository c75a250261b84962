"""A machine joins by a code: from the operator's command line to the first script on it."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from cloud_assistant.worker.identity import written_machine_id
from cloud_assistant.worker.registration.registering import alone
from harness.needs import skip_without
from harness.processes import clean_environment, installed_program
from harness.system import Gateway, Outcome

from .conftest import SecureSystem

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway(secure: SecureSystem) -> Gateway:
    """A gateway with the operator's master key, which the operator makes first."""
    key = secure.folder / "operator" / "master-key.json"
    with secure.operator() as operator:
        operator.trust.create_master()
    return secure.start_gateway(environment={"CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": str(key)})


def activation(secure: SecureSystem, *options: str) -> tuple[str, str]:
    """Make an activation as an operator does."""
    made = secure.assist("activation", "create", "--output", "json", *options).must_succeed().json
    return made["ActivationId"], made["ActivationCode"]


def agent(folder: Path, *arguments: str, code: str = "", stdin: str = "") -> Outcome:
    """Run ``assist-agent`` on a machine whose files lie in a folder."""
    folder.mkdir(exist_ok=True)
    extra = {"CLOUD_ASSISTANT_ACTIVATION_CODE": code} if code else {}
    done = subprocess.run(
        [installed_program("assist-agent"), *arguments],
        env=clean_environment(folder, extra),
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Outcome(arguments, done.returncode, done.stdout, done.stderr)


def register(
    gateway: Gateway, folder: Path, activation_id: str, *more: str, code: str = "", stdin: str = ""
) -> Outcome:
    """Register the machine of a folder."""
    return agent(folder, *registration(gateway, folder, activation_id), *more, code=code, stdin=stdin)


def registration(gateway: Gateway, folder: Path, activation_id: str) -> list[str]:
    """The words that register the machine of a folder."""
    places = ["--config", str(folder / "agent.toml"), "--home", str(folder / "home")]
    return ["register", "--gateway", gateway.url, "--activation-id", activation_id, *places]


def begin_to_register(gateway: Gateway, folder: Path, activation_id: str, code: str) -> "subprocess.Popen[str]":
    """The same, without waiting for its end."""
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [installed_program("assist-agent"), *registration(gateway, folder, activation_id)],
        env=clean_environment(folder, {"CLOUD_ASSISTANT_ACTIVATION_CODE": code}),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_machine_registers_runs_and_executes(secure: SecureSystem, gateway: Gateway, tmp_path: Path) -> None:
    activation_id, code = activation(secure, "--uses", "3", "--name-prefix", "web", "--tag", "env=test")
    machine = tmp_path / "the machine"
    registered = register(gateway, machine, activation_id, code=code).must_succeed()
    instance_id = registered.stdout.strip()
    assert instance_id.startswith("mi-")
    assert f"assist-agent run --config '{machine / 'agent.toml'}' --home '{machine / 'home'}'\n" in registered.stderr
    for file in (machine / "agent.toml", machine / "home" / "registration.json"):
        assert file.stat().st_mode & 0o777 == 0o600
    settings = tomllib.loads((machine / "agent.toml").read_text())
    assert settings["security"]["instance_key"] not in registered.stdout + registered.stderr
    assert settings["security"]["instance_key"] not in gateway.log()
    assert code not in gateway.log()

    secure.start_agent(instance_id, credentials=machine / "agent.toml")
    outcome = secure.assist("run", "echo 123", "--tag", "env=test", "--output", "json").must_succeed()
    (result,) = outcome.json["InvocationResults"]
    assert (result["InstanceId"], result["Output"]) == (instance_id, "123\n")
    (shown,) = secure.assist("activation", "list", "--output", "json").must_succeed().json
    assert (shown["RegisteredCount"], shown["State"]) == (1, "open")

    again = register(gateway, machine, activation_id, code=code).must_succeed()
    assert f"is {instance_id} already" in again.stderr
    secure.assist("run", "echo still", "--instance", instance_id).must_succeed()


def test_a_registration_whose_answer_was_lost_is_repeated_without_a_second_use(
    secure: SecureSystem, gateway: Gateway, tmp_path: Path
) -> None:
    activation_id, code = activation(secure, "--uses", "1")
    machine = tmp_path / "machine"
    first = register(gateway, machine, activation_id, code=code).must_succeed()
    (machine / "agent.toml").unlink()
    again = register(gateway, machine, activation_id, "--activation-code", "-", stdin=f"{code}\n").must_succeed()
    assert again.stdout == first.stdout

    if written_machine_id(Path("/")) == "":
        skip_without("a name of the machine", "Run systemd-machine-id-setup.")
    copy = tmp_path / "copy"
    refused = register(gateway, copy, activation_id, code=code)
    assert (refused.exit_code, "Machine.AlreadyRegistered" in refused.stderr) == (4, True)
    assert "--force-new" in refused.stderr
    assert not (copy / "agent.toml").exists()
    used_up = register(gateway, copy, activation_id, "--force-new", code=code)
    assert (used_up.exit_code, "Activation.UsedUp" in used_up.stderr) == (4, True)


def test_of_several_that_register_at_once_one_does_and_the_others_find_it_done(
    secure: SecureSystem, gateway: Gateway, tmp_path: Path
) -> None:
    activation_id, code = activation(secure, "--uses", "4")
    machine = tmp_path / "machine"
    begun = []
    with alone(machine / "home", pause=lambda _: None, on_wait=lambda: None):
        for _ in range(4):
            begun.append(begin_to_register(gateway, machine, activation_id, code))
        # All of them have seen that it was no instance yet.
        told = [one.stderr.readline() for one in begun if one.stderr]
    assert all("waiting for its end" in line for line in told), told

    ended = [one.communicate(timeout=60) for one in begun]
    assert [one.returncode for one in begun] == [0] * 4, ended
    [instance_id] = [output.strip() for output, _ in ended if output]
    assert sum(f"this machine is {instance_id} already" in problems for _, problems in ended) == 3
    assert tomllib.loads((machine / "agent.toml").read_text())["instance_id"] == instance_id
    shown = json.loads(secure.assist("activation", "show", activation_id, "--output", "json").stdout)
    assert shown["RegisteredCount"] == 1


def test_every_way_to_fail_says_which(secure: SecureSystem, gateway: Gateway, tmp_path: Path) -> None:
    activation_id, code = activation(secure)
    machine = tmp_path / "machine"
    wrong = register(gateway, machine, activation_id, code="a-wrong")
    assert (wrong.exit_code, "ActivationCode.Invalid" in wrong.stderr) == (4, True)
    secure.assist("activation", "disable", activation_id).must_succeed()
    disabled = register(gateway, machine, activation_id, code=code)
    assert (disabled.exit_code, "Activation.Disabled" in disabled.stderr) == (4, True)
    shown = json.loads(secure.assist("activation", "show", activation_id, "--output", "json").stdout)
    assert (shown["State"], "ActivationCode" in shown) == ("disabled", False)
    secure.assist("activation", "delete", activation_id).must_succeed()
    assert secure.assist("activation", "show", activation_id).exit_code == 5

    options = ("--activation-id", "X", "--activation-code", "Y", "--config", str(machine / "a.toml"))
    in_clear = agent(machine, "register", "--gateway", "http://192.0.2.1:8177", *options)
    assert (in_clear.exit_code, "--allow-http" in in_clear.stderr) == (2, True)
    no_url = agent(machine, "register", "--gateway", "192.0.2.1", *options)
    assert (no_url.exit_code, "https://" in no_url.stderr) == (2, True)


def test_a_page_that_is_no_gateway_is_told_from_a_refusal(
    secure: SecureSystem, gateway: Gateway, tmp_path: Path
) -> None:
    machine = tmp_path / "machine"
    gateway.url += "/somewhere"
    outcome = register(gateway, machine, "X", code="Y")
    assert (outcome.exit_code, "is that its URL?" in outcome.stderr) == (3, True)
