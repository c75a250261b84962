"""Promise 7: an instance that has a key runs only what a producer signed, for it, in time."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from integration.agent.operator_side import Execution, Operator, agent_program, side_effects

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.messages import WorkOrder, encode
from cloud_assistant.broker_config.records import ScriptType
from cloud_assistant.broker_config.security.signing import MasterKeys, new_master_keys, write_master_keys
from harness.clock import SteppedClock
from harness.redis_server import RedisServer
from harness.system import System

MASTER = new_master_keys()


@pytest.fixture
def signer(redis_server: RedisServer) -> Iterator[Operator]:
    """A producer that has the master key."""
    control = Operator(redis_server.url(), MASTER)
    control.register("i-one", "i-two")
    yield control
    control.close()


def give_key(system: System, instance_id: str = "i-one", master: MasterKeys = MASTER) -> None:
    key = master.instance_key(instance_id)
    write_master_keys(
        system.folder / instance_id / "instance-key.json", MasterKeys(master.current, {master.current: key})
    )


def test_what_a_producer_signed_runs(quick_system: System, signer: Operator) -> None:
    give_key(quick_system)
    agent = quick_system.start_agent()

    assert signer.run("echo signed").outcome.output.data == b"signed\n"
    assert "INSECURE" not in agent.log()


def test_what_nobody_signed_is_refused_and_leaves_no_trace_on_disk(
    quick_system: System, operator: Operator, signer: Operator, tmp_path: Path
) -> None:
    give_key(quick_system)
    agent = quick_system.start_agent()

    row = operator.run(f"echo ran > {tmp_path}/ran")

    assert (row.state, row.outcome.error_code) == ("Invalid", "SignatureInvalid")
    assert side_effects(tmp_path / "ran") == []
    assert list((agent.home / "spool").iterdir()) == []
    assert signer.run("true").state == "Success"


def altered_envelope(control: Operator, execution: Execution) -> None:
    envelope = control.redis.call("HGET", control.row_key(execution), "envelope")
    control.redis.call("HSET", control.row_key(execution), "envelope", envelope.replace(b'"attempt":1', b'"attempt":2'))


def altered_payload(control: Operator, execution: Execution) -> None:
    order = WorkOrder(command_id="c-x", type=ScriptType.SHELL, content=b"echo evil > /dev/null", timeout_seconds=60)
    control.redis.call("HSET", control.row_key(execution), "payload", encode(order))


def envelope_of_another(control: Operator, execution: Execution) -> None:
    other = control.invoke_one("true", "i-two")
    fields = control.redis.call("HMGET", control.row_key(other), "envelope", "mac", "payload")
    names = ("envelope", "mac", "payload")
    pairs = [part for pair in zip(names, fields, strict=True) for part in pair]
    control.redis.call("HSET", control.row_key(execution), *pairs)


def envelope_of_an_earlier_one(control: Operator, execution: Execution) -> None:
    other = control.invoke_one("true", "i-one")
    fields = control.redis.call("HMGET", control.row_key(other), "envelope", "mac", "payload")
    names = ("envelope", "mac", "payload")
    pairs = [part for pair in zip(names, fields, strict=True) for part in pair]
    control.redis.call("HSET", control.row_key(execution), *pairs)


def forged_mac(control: Operator, execution: Execution) -> None:
    control.redis.call("HSET", control.row_key(execution), "mac", "0" * 64)


def unknown_key(control: Operator, execution: Execution) -> None:
    control.redis.call("HSET", control.row_key(execution), "key_id", "k9", "mac", "k9:" + "0" * 64)


@pytest.mark.parametrize(
    "attack",
    [altered_envelope, altered_payload, envelope_of_another, envelope_of_an_earlier_one, forged_mac, unknown_key],
)
def test_whoever_writes_to_redis_cannot_have_a_script_run(
    quick_system: System, signer: Operator, tmp_path: Path, attack: object
) -> None:
    give_key(quick_system)
    execution = signer.invoke_one(f"echo ran > {tmp_path}/ran")
    assert callable(attack)
    attack(signer, execution)

    quick_system.start_agent()
    row = signer.wait(execution)

    assert (row.state, row.outcome.error_code) == ("Invalid", "SignatureInvalid")
    assert side_effects(tmp_path / "ran") == []


@pytest.mark.parametrize(("fact", "field"), [("InstanceName", "name"), ("AccountId", "account_id")])
def test_what_stands_in_the_record_of_an_instance_puts_no_command_into_a_signed_script(
    quick_system: System, signer: Operator, tmp_path: Path, fact: str, field: str
) -> None:
    give_key(quick_system)
    signer.redis.call("HSET", keys.profile("i-one"), field, f"x; touch {tmp_path}/ran")
    quick_system.start_agent()

    row = signer.run(f"echo {{{{ACS::{fact}}}}}", built_ins=True)

    assert (row.state, row.outcome.error_code) == ("Invalid", "InvalidSystemBuiltInParameter")
    assert side_effects(tmp_path / "ran") == []


def test_an_expired_envelope_is_refused(quick_system: System, signer: Operator, tmp_path: Path) -> None:
    give_key(quick_system)
    execution = signer.invoke_one(f"echo ran > {tmp_path}/ran", deliver_within_seconds=60)

    # Redis may say what it likes: the machine's own clock is long past it.
    clock = SteppedClock(tmp_path / "clock")
    clock.step(3600)
    quick_system.start_agent(environment=clock.environment)
    row = signer.wait(execution)

    assert (row.state, row.outcome.error_code) == ("Invalid", "EnvelopeExpired")
    assert side_effects(tmp_path / "ran") == []


def test_an_old_row_played_back_does_not_run_again(quick_system: System, signer: Operator, tmp_path: Path) -> None:
    give_key(quick_system)
    agent = quick_system.start_agent()
    execution = signer.invoke_one(f"echo ran >> {tmp_path}/ran")
    row_before = signer.redis.call("DUMP", signer.row_key(execution))
    signer.wait(execution)
    agent.sigkill()
    quick_system.start_agent()

    signer.redis.call("RESTORE", signer.row_key(execution), 0, row_before, "REPLACE")
    signer.push_again(execution, 3)

    assert signer.run("true").state == "Success"
    assert side_effects(tmp_path / "ran") == ["ran"]


def test_an_old_row_under_another_spelling_of_its_name_does_not_run_again(
    quick_system: System, signer: Operator, tmp_path: Path
) -> None:
    give_key(quick_system)
    execution = signer.invoke_one(f"echo ran >> {tmp_path}/ran")
    row_before = signer.redis.call("DUMP", signer.row_key(execution))
    quick_system.start_agent()
    signer.wait(execution)

    again = replace(execution, id=execution.id.replace(".0@", ".00@"))
    signer.redis.call("RESTORE", signer.row_key(again), 0, row_before)
    signer.push_again(again)

    assert signer.run("true").state == "Success"
    assert side_effects(tmp_path / "ran") == ["ran"]


def test_an_agent_that_must_not_run_unsigned_scripts_and_has_no_key_does_not_start(quick_system: System) -> None:
    agent = agent_program(quick_system, CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED="false")

    assert agent.start().wait() == 2
    assert "accept_unsigned" in agent.log()


def test_a_key_file_open_to_others_stops_the_agent(quick_system: System) -> None:
    give_key(quick_system)
    (quick_system.folder / "i-one" / "instance-key.json").chmod(0o644)
    agent = agent_program(quick_system)

    assert agent.start().wait() == 2
    assert "chmod 600" in agent.log()


def test_running_without_a_key_is_reported_loudly(quick_system: System) -> None:
    agent = quick_system.start_agent()

    assert "WARNING INSECURE" in agent.log()
