"""What is bound to the start of a machine runs once for each boot, signed, and is never lost on its way."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from faults.agents import QUICK, READY, in_boot, kill_machine, make_boot, start, start_crashing_agent
from integration.agent.operator_side import side_effects

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.results import ExecutionRow, read_row
from cloud_assistant.broker_config.security.sealing import seal
from cloud_assistant.broker_config.security.signing import MasterKeys, new_master_keys, subkey, write_master_keys
from cloud_assistant.broker_config.settings import load
from cloud_assistant.broker_config.states import is_final
from cloud_assistant.broker_config.task_message import fill, template
from cloud_assistant.broker_config.timed.boot_bound import BootEntry
from cloud_assistant.broker_config.timed.boot_resigning import resign
from cloud_assistant.producer import Assistant, RunOptions, Targets
from harness.eventually import eventually
from harness.processes import Program, installed_program
from harness.redis_server import RedisServer
from harness.system import System

MASTER = new_master_keys()
INSTANCE = "i-one"
#: What an envelope ``{}`` of that instance has its secrets bound to, and its key.
CONTEXT = b"i-one\n{}"
KEY = MASTER.instance_key(INSTANCE)


@dataclass
class Machine:
    """One machine that can be restarted, its agent, and the control side that signs for it."""

    assistant: Assistant
    system: System
    traces: Path
    boot_file: Path
    agent: Program | None = None

    def start_agent(self, *, ready: str | None = READY) -> Program:
        argv = in_boot(self.boot_file, [installed_program("assist-agent"), "run"])
        self.agent = start(self.system, argv, INSTANCE, ready=ready)
        return self.agent

    def restart_agent(self) -> Program:
        assert self.agent is not None
        self.agent.sigkill()
        return self.start_agent()

    def go_down(self) -> None:
        """Power off; the next start of an agent is one of another boot."""
        assert self.agent is not None
        kill_machine(self.agent, self.system.folder / INSTANCE)
        self.boot_file = make_boot(self.system.folder)

    def reboot(self) -> Program:
        self.go_down()
        return self.start_agent()

    def bind(self, mode: RepeatMode, script: str = "", **secrets: str) -> str:
        """Ask for a run at the start of the machine; it leaves a line with the mode."""
        return self.assistant.run_command(
            script or f"echo {mode} >> {self.traces}",
            Targets(instance_ids=[INSTANCE]),
            RunOptions(timeout_seconds=20, schedule=Schedule(repeat_mode=mode), secret_parameters=secrets),
        ).invoke_id

    def hold_key(self, master: MasterKeys, key_id: str) -> None:
        """Give the agent, at its next start, this key of its instance and no other."""
        held = MasterKeys(key_id, {key_id: master.instance_key(INSTANCE, key_id)})
        write_master_keys(self.system.folder / INSTANCE / "instance-key.json", held)

    def traced(self) -> list[str]:
        return sorted(side_effects(self.traces))

    def rows(self, invoke_id: str) -> list[ExecutionRow]:
        redis = self.assistant.redis
        names = [one.decode() for one in redis.call("ZRANGE", keys.instance_history(INSTANCE), 0, -1)]
        found = [read_row(one, redis.call("HGETALL", keys.execution(INSTANCE, one))) for one in names]
        return [row for row in found if row is not None and row.execution_id.startswith(f"{invoke_id}.")]

    def wait_for_ends(self, invoke_id: str, count: int) -> list[ExecutionRow]:
        def ended() -> list[ExecutionRow] | None:
            rows = self.rows(invoke_id)
            return rows if len(rows) == count and all(is_final(row.state) for row in rows) else None

        return eventually(ended, 20, f"{count} executions of {invoke_id} have ended")


@pytest.fixture
def machine(redis_server: RedisServer, system: System, tmp_path: Path) -> Iterator[Machine]:
    system.environment.update(QUICK | {"CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "false"})
    home = tmp_path / "control"
    write_master_keys(home / "master-key.json", MASTER)
    key = MasterKeys(MASTER.current, {MASTER.current: MASTER.instance_key(INSTANCE)})
    write_master_keys(system.folder / INSTANCE / "instance-key.json", key)
    settings = replace(load({"home": str(home)}).settings, redis_url=redis_server.url())
    with Assistant(settings=settings) as assistant:
        assistant.add_instance(INSTANCE)
        yield Machine(assistant, system, tmp_path / "traces", make_boot(system.folder))


def test_each_boot_runs_it_once_and_a_restart_of_the_agent_does_not(machine: Machine) -> None:
    machine.start_agent()
    machine.system.start_beat(environment={"CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.3"})
    every, once = machine.bind(RepeatMode.EVERY_REBOOT), machine.bind(RepeatMode.NEXT_REBOOT_ONLY)
    machine.restart_agent()
    assert machine.traced() == []

    machine.reboot()
    machine.wait_for_ends(every, 1)
    machine.wait_for_ends(once, 1)
    machine.restart_agent()
    assert machine.traced() == ["EveryReboot", "NextRebootOnly"]

    machine.reboot()
    rows = machine.wait_for_ends(every, 2)
    machine.restart_agent()
    assert machine.traced() == ["EveryReboot", "EveryReboot", "NextRebootOnly"]
    assert {row.state for row in rows} == {"Success"}
    assert len({row.boot_id for row in rows}) == 2
    assert len(machine.rows(once)) == 1
    verbs = machine.assistant.timed
    eventually(lambda: verbs.show(once).timed.status == "ended", 10)
    eventually(lambda: verbs.history(every).total_count == 2, 10)
    assert verbs.history(every).items[0].outcomes == [(INSTANCE, "Success", "")]


def test_a_machine_that_starts_while_redis_is_away_runs_it_once_redis_is_back(
    machine: Machine, redis_server: RedisServer
) -> None:
    machine.start_agent()
    every, once = machine.bind(RepeatMode.EVERY_REBOOT), machine.bind(RepeatMode.NEXT_REBOOT_ONLY)
    machine.go_down()
    redis_server.kill()
    machine.start_agent(ready="which keeps trying")
    assert machine.traced() == []
    redis_server.start()
    assert machine.wait_for_ends(every, 1)[0].state == "Success"
    assert machine.wait_for_ends(once, 1)[0].state == "Success"
    redis_server.kill()
    redis_server.start()
    machine.restart_agent()
    assert machine.traced() == ["EveryReboot", "NextRebootOnly"]


@pytest.mark.parametrize(
    ("point", "ran"),
    [
        ("after the boot fired", []),
        ("after the boot is in the journal", []),
        ("before the plan is sent", []),
        ("before a boot's script", []),
        ("after the start", ["EveryReboot"]),
        ("before the report", ["EveryReboot"]),
    ],
)
def test_an_agent_killed_on_the_way_leaves_an_honest_end_and_runs_nothing_twice(
    machine: Machine, point: str, ran: list[str]
) -> None:
    machine.start_agent()
    every = machine.bind(RepeatMode.EVERY_REBOOT)
    machine.go_down()
    dying = start_crashing_agent(machine.system, point, INSTANCE, boot_file=machine.boot_file, ready=None)
    dying.wait(20)
    machine.start_agent()
    (row,) = machine.wait_for_ends(every, 1)
    assert machine.traced() == ran
    if ran:
        assert (row.state, row.outcome.exit_code) == ("Success", 0)
    else:
        assert (row.state, row.outcome.error_code) == ("Error", "ExecutionInterrupted")
    machine.restart_agent()
    assert machine.traced() == ran
    machine.reboot()
    assert machine.wait_for_ends(every, 2)[-1].state == "Success"


def test_more_of_them_than_slots_all_run(machine: Machine) -> None:
    machine.system.environment["CLOUD_ASSISTANT_AGENT_SLOTS"] = "2"
    machine.start_agent()
    bound = [machine.bind(RepeatMode.EVERY_REBOOT) for _ in range(9)]
    machine.reboot()
    assert {machine.wait_for_ends(one, 1)[0].state for one in bound} == {"Success"}
    assert len(machine.traced()) == 9


def test_in_quarantine_nothing_runs_and_the_row_says_why(machine: Machine) -> None:
    machine.start_agent()
    every = machine.bind(RepeatMode.EVERY_REBOOT)
    machine.assistant.trust.quarantine(INSTANCE, "under inspection")
    machine.reboot()
    (row,) = machine.wait_for_ends(every, 1)
    assert (row.outcome.error_code, machine.traced()) == ("InstanceQuarantined", [])
    assert "under inspection" in row.outcome.error_info


@pytest.mark.parametrize("mode", [RepeatMode.EVERY_REBOOT, RepeatMode.NEXT_REBOOT_ONLY])
def test_whoever_writes_to_redis_cannot_have_it_run_again(machine: Machine, mode: RepeatMode) -> None:
    machine.start_agent()
    bound = machine.bind(mode)
    redis = machine.assistant.redis
    branch = keys.boot_bound(INSTANCE)
    entry = redis.call("HGET", branch, bound)
    machine.reboot()
    machine.wait_for_ends(bound, 1)

    redis.call("HSET", branch, f"{bound}:boot", "another boot")
    redis.call("HSET", branch, bound, entry)
    if mode == RepeatMode.NEXT_REBOOT_ONLY:
        machine.go_down()
    machine.restart_agent()

    again = machine.wait_for_ends(bound, 2)[-1]
    assert (again.state, again.outcome.error_code) == ("Invalid", "EnvelopeExpired")
    assert machine.traced() == [mode]


@pytest.mark.parametrize("state", ["Pending", "Running"])
def test_its_envelope_is_worth_nothing_in_an_ordinary_execution(machine: Machine, state: str) -> None:
    machine.start_agent()
    every = machine.bind(RepeatMode.EVERY_REBOOT)
    machine.reboot()
    (row,) = machine.wait_for_ends(every, 1)
    redis = machine.assistant.redis
    forged = execution_id(every, 1, INSTANCE)
    redis.call("COPY", keys.execution(INSTANCE, row.execution_id), keys.execution(INSTANCE, forged))
    far_ms = row.deadline_ms + 3_600_000
    entry = msgspec.json.decode(redis.call("HGET", keys.boot_bound(INSTANCE), every), type=BootEntry)
    fields: dict[str, Argument] = {
        "state": state,
        "firing_ms": 1,
        "deadline_ms": far_ms,
        "envelope": entry.envelope,
        "mac": entry.mac,
    }
    fields |= {"epoch": redis.call("HGET", keys.info(INSTANCE), "epoch"), "key_id": entry.key_id}
    redis.call("HSET", keys.execution(INSTANCE, forged), *[part for pair in fields.items() for part in pair])
    redis.call("HDEL", keys.execution(INSTANCE, forged), "error_code", "finished_ms", "exit_code")
    redis.call("ZADD", keys.open_executions(INSTANCE), far_ms, forged)
    token = load_invocation(redis, every).record.payload_token
    redis.call("LPUSH", keys.queue(INSTANCE), fill(template(token, "test"), forged))

    def refused() -> bool:
        found = read_row(forged, redis.call("HGETALL", keys.execution(INSTANCE, forged)))
        return found is not None and found.outcome.error_code == "SignatureInvalid"

    eventually(refused, 15)
    assert machine.traced() == ["EveryReboot"]


def test_what_redis_made_and_the_agent_could_not_take_over_is_found_again(machine: Machine) -> None:
    machine.start_agent()
    every = machine.bind(RepeatMode.EVERY_REBOOT)
    redis = machine.assistant.redis
    payload = keys.payload(load_invocation(redis, every).record.payload_token)
    machine.go_down()
    # The executions are made and claimed; the next request after that fails.
    redis.call("RENAME", payload, "aside")
    redis.call("LPUSH", payload, "of another type")
    machine.start_agent(ready="which keeps trying")
    assert [row.state for row in machine.rows(every)] == ["Running"]
    redis.call("RENAME", "aside", payload)
    assert machine.wait_for_ends(every, 1)[0].state == "Success"
    assert machine.traced() == ["EveryReboot"]


def test_an_order_that_cannot_be_read_is_refused_and_keeps_no_agent_from_its_work(machine: Machine) -> None:
    redis, branch = machine.assistant.redis, keys.boot_bound(INSTANCE)
    bound = [machine.bind(RepeatMode.EVERY_REBOOT) for _ in range(2)]
    entry = msgspec.json.decode(redis.call("HGET", branch, bound[0]), type=BootEntry)
    redis.call("HSET", branch, bound[0], msgspec.json.encode(msgspec.structs.replace(entry, envelope="junk")))
    for one in bound:
        redis.call("HSET", branch, f"{one}:boot", "the boot before")
    machine.start_agent()
    (refused,), (ran,) = (machine.wait_for_ends(one, 1) for one in bound)
    assert (refused.outcome.error_code, ran.state) == ("SignatureInvalid", "Success")
    assert machine.traced() == ["EveryReboot"]


def test_what_waits_for_a_boot_is_signed_anew_when_the_keys_change(machine: Machine) -> None:
    redis = machine.assistant.redis
    every = machine.bind(RepeatMode.EVERY_REBOOT)
    branch = keys.boot_bound(INSTANCE)
    forged = msgspec.json.encode({**msgspec.json.decode(redis.call("HGET", branch, every)), "mac": "k1:" + "0" * 64})
    redis.call("HSET", branch, "t-forged", forged)
    both = new_master_keys(MASTER)

    assert resign(redis, INSTANCE, both, "k2.7", held="k1") == 1
    assert resign(redis, INSTANCE, both, "k2.7", held="k1") == 0
    assert redis.call("HGET", branch, "t-forged") == forged, "what nobody signed is not signed now"
    redis.call("HDEL", branch, "t-forged")

    machine.hold_key(both, "k2.7")
    redis.call("HSET", branch, f"{every}:boot", "the boot before")
    machine.start_agent()
    assert machine.wait_for_ends(every, 1)[0].state == "Success"


def test_secret_parameters_come_along_when_what_waits_for_a_boot_is_signed_anew(machine: Machine) -> None:
    script = f'echo "$CA_PARAM_TOKEN" >> {machine.traces}'
    every = machine.bind(RepeatMode.EVERY_REBOOT, script, TOKEN="of the first key")
    both = new_master_keys(MASTER)
    assert resign(machine.assistant.redis, INSTANCE, both, "k2.7", held="k1") == 1

    machine.hold_key(both, "k2.7")
    machine.assistant.redis.call("HSET", keys.boot_bound(INSTANCE), f"{every}:boot", "the boot before")
    machine.start_agent()
    assert machine.wait_for_ends(every, 1)[0].state == "Success"
    assert machine.traced() == ["of the first key"]


def test_what_a_key_signed_that_was_replaced_after_a_theft_is_not_signed_anew(machine: Machine) -> None:
    redis, branch = machine.assistant.redis, keys.boot_bound(INSTANCE)
    every = machine.bind(RepeatMode.EVERY_REBOOT)
    entry = msgspec.json.decode(redis.call("HGET", branch, every), type=BootEntry)
    stolen = MASTER.sign(INSTANCE, entry.envelope.encode(), "k1.5").decode()
    redis.call("HSET", branch, every, msgspec.json.encode(msgspec.structs.replace(entry, mac=stolen)))
    before = redis.call("HGETALL", branch)

    assert resign(redis, INSTANCE, new_master_keys(MASTER), "k2.7", held="k1.6") == 0
    # Nor does it keep the others from being signed: not even a key that nobody can have.
    assert resign(redis, INSTANCE, MASTER, "k1.7", held="k9.5") == 0
    assert redis.call("HGETALL", branch) == before


@pytest.mark.parametrize(
    "junk", [b"junk", seal(subkey(KEY, "secret parameters"), b"[1]", CONTEXT)], ids=["no seal", "no secrets"]
)
def test_secrets_that_a_thief_has_made_up_keep_no_other_order_from_being_signed_anew(
    machine: Machine, junk: bytes
) -> None:
    redis, branch = machine.assistant.redis, keys.boot_bound(INSTANCE)
    every = machine.bind(RepeatMode.EVERY_REBOOT)
    entry = msgspec.json.decode(redis.call("HGET", branch, every), type=BootEntry)
    forged = msgspec.structs.replace(entry, envelope="{}", mac=MASTER.sign(INSTANCE, b"{}", sealed=junk).decode())
    redis.call("HSET", branch, "t-forged", msgspec.json.encode(forged))

    assert resign(redis, INSTANCE, new_master_keys(MASTER), "k2.7", held="k1") == 1
    assert redis.call("HGET", branch, "t-forged") == msgspec.json.encode(forged)
