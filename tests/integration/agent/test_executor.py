"""What an executor starts, and what it reports instead: in this process, where that can be arranged."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from integration.agent.operator_side import Operator

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.messages import Envelope, FileOrder, WorkOrder, encode
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.settings_table import AgentSettings
from cloud_assistant.broker_config.timed.boot_bound import BOOT_FIRING_MS
from cloud_assistant.worker.claimant import Claimant
from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.executor import Executor, Facts
from cloud_assistant.worker.in_hand import InHand
from cloud_assistant.worker.journal import Journal
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.live_output import LiveOutput
from cloud_assistant.worker.policy.policy_file import PolicyFile, PolicyGuard
from cloud_assistant.worker.reporter import Reporter
from cloud_assistant.worker.spool import Spool
from cloud_assistant.worker.trust.key_ring import KeyRing
from cloud_assistant.worker.trust.verification import Verifier

ID = "i-one"


@pytest.fixture
def executor(redis: Redis, tmp_path: Path) -> Executor:
    home = tmp_path / "home"
    spool = Spool(home / "spool", limit_bytes=1_000_000, keep_scripts=False)
    spool.make()
    claimant = Claimant(instance_id=ID, epoch="this", boot_id="b", report_margin_ms=1000)
    link, key_ring = LinkState(), KeyRing(home, ID, "")
    return Executor(
        redis=redis,
        claimant=claimant,
        verifier=Verifier(ID, key_ring, tolerance_ms=1000),
        policy=PolicyGuard(PolicyFile(""), "root"),
        journal=Journal(home / "journal", fsync=True),
        launcher=Launcher(),
        spool=spool,
        reporter=Reporter(redis, spool, link, claimant, retention_ms=60_000, keys=key_ring),
        in_hand=InHand(),
        link=link,
        settings=AgentSettings(),
        facts=Facts(),
        live_output=lambda one: LiveOutput(redis, ID, one, most_bytes=1000),
        settle_known=lambda _: None,
    )


def test_without_a_descriptor_for_the_journal_an_execution_ends_with_that_reason(
    executor: Executor, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    operator.register(ID)
    execution = operator.invoke_one("echo")
    monkeypatch.setattr(os, "dup", refuse)

    outcome = executor.run(execution.id, "")

    assert isinstance(outcome, Outcome)
    row = operator.row(execution)
    assert (row.state, row.outcome.error_code) == ("Error", "ExecutionException")
    assert "journal of started scripts cannot be written (Too many open files)" in row.outcome.error_info
    assert row.outcome.error_info.endswith("raise its limit of open files")
    assert execution.id not in executor.in_hand


def test_what_was_started_here_before_is_settled_and_never_claimed(executor: Executor, operator: Operator) -> None:
    """Also ahead of its turn: a claim would have it end as interrupted, and lose the result that is known."""
    operator.register(ID)
    execution = operator.invoke_one("echo")
    settled: list[str] = []
    executor = replace(executor, settle_known=settled.append)
    executor.journal.record_start(execution.id, now_ms() + 60_000)
    executor.redis.call("PING")

    executor.claim_ahead(execution.id, "")
    assert (executor.run(execution.id, ""), settled) == (None, [execution.id])
    assert operator.row(execution).state == "Pending"


def test_nothing_is_claimed_ahead_while_redis_is_away(executor: Executor, operator: Operator) -> None:
    operator.register(ID)
    execution = operator.invoke_one("echo")
    executor.redis.call("PING")
    executor.link.note_failure(RedisUnreachable("away"))
    executor.claim_ahead(execution.id, "")
    assert execution.id not in executor.in_hand
    assert operator.row(execution).state == "Pending"


def test_what_waits_to_be_reported_is_not_run_again_although_the_journal_has_forgotten_it(
    executor: Executor, operator: Operator
) -> None:
    """Its envelope may have expired meanwhile, and a refusal would take the place of the true result."""
    operator.register(ID)
    execution = operator.invoke_one("echo")
    executor.reporter.wait_in_line(execution.id)
    executor.redis.call("PING")

    executor.claim_ahead(execution.id, "")
    assert executor.run(execution.id, "") is None
    assert operator.row(execution).state == "Pending"


def test_what_the_journal_learned_of_after_the_claim_is_not_started(executor: Executor, operator: Operator) -> None:
    """The last guard of all, where every other has failed."""
    operator.register(ID)
    execution = operator.invoke_one("echo")
    executor.redis.call("PING")
    executor.claim_ahead(execution.id, "")
    executor.journal.record_start(execution.id, now_ms() + 60_000)

    executor.run(execution.id, "")
    assert "was started before on this instance" in operator.row(execution).outcome.error_info


def test_a_machine_that_nobody_named_goes_by_its_id(executor: Executor) -> None:
    order = WorkOrder(command_id="c-1", type="RunShellScript", content=b"", timeout_seconds=60)
    envelope = Envelope(invoke_id="t-1", firing_ms=0, attempt=1, digest="", created_ms=1, expires_ms=2, nonce="")
    names = []
    for executor.facts.name in ("", "web"):
        names.append(executor._built_ins(order, envelope)["InstanceName"])
    assert names == [ID, "web"]


def test_what_is_for_another_instance_is_not_claimed(
    executor: Executor, operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    operator.register("i-other")
    execution = operator.invoke_one("echo", instance_id="i-other")
    executor.redis.call("PING")
    executor.claim_ahead(execution.id, "")
    assert execution.id not in executor.in_hand

    assert executor.run(execution.id, "") is None
    assert "not for this instance" in caplog.text


def test_a_claim_that_a_copy_of_the_message_has_sent_ahead_is_taken_up(executor: Executor, operator: Operator) -> None:
    """What was put back into the queue names no work order, and the thread of either may come first."""
    operator.register(ID)
    execution = operator.invoke_one("echo")
    executor.redis.call("PING")
    executor.claim_ahead(execution.id, "")

    assert isinstance(executor.run(execution.id, "token"), Outcome)
    assert operator.row(execution).state == "Error", "no supervisor is there"
    assert execution.id not in executor.in_hand


def test_a_stop_that_comes_before_the_script_leaves_it_unstarted(
    executor: Executor, operator: Operator, tmp_path: Path
) -> None:
    operator.register(ID)
    execution = operator.invoke_one(f"touch {tmp_path}/ran")
    executor.redis.call("PING")
    executor.claim_ahead(execution.id, "")
    assert executor.in_hand.stop(execution.id)

    executor.run(execution.id, "")

    row = operator.row(execution)
    assert (row.state, row.outcome.error_info) == ("Terminated", "stopped before the script was started")
    assert list((tmp_path / "home" / "spool").iterdir()) == []
    assert execution.id not in executor.in_hand


def test_in_quarantine_what_was_dispatched_before_is_refused_and_reported(
    executor: Executor, operator: Operator
) -> None:
    operator.register(ID)
    execution = operator.invoke_one("echo")
    executor.facts.quarantine = "cloned"

    executor.run(execution.id, "")

    row = operator.row(execution)
    assert (row.outcome.error_code, "cloned" in row.outcome.error_info) == ("InstanceQuarantined", True)
    [(_, fields)] = operator.redis.call("XRANGE", keys.refusals(ID), "-", "+")
    told = dict(zip(fields[::2], fields[1::2], strict=True))
    assert (told[b"code"], told[b"execution_id"]) == (b"InstanceQuarantined", execution.id.encode())


def test_what_a_boot_owes_and_redis_has_lost_the_order_of_is_reported_and_let_go_of(
    executor: Executor, operator: Operator
) -> None:
    operator.register(ID)
    name = f"t-aaaaaaaa.5@{ID}"
    bound = Envelope(
        invoke_id="t-aaaaaaaa", firing_ms=BOOT_FIRING_MS, attempt=1, digest="", created_ms=1, expires_ms=2, nonce=""
    )
    executor.redis.call("HSET", keys.execution(ID, name), "state", "Running", "epoch", "this")
    executor.in_hand.enter(name)
    executor.run_boot(name, Claimed(encode(bound), b"", "", b"", 1), b"")
    assert b"no longer in Redis" in executor.redis.call("HGET", keys.execution(ID, name), "error_info")
    assert name not in executor.in_hand


def test_a_file_is_checked_where_it_will_lie_and_written_once(executor: Executor, tmp_path: Path) -> None:
    places: list[str] = []

    class Watching(PolicyGuard):
        def check_file(self, order: FileOrder, place: str = "") -> None:
            places.append(str(place))

    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    executor = replace(executor, policy=Watching(PolicyFile(""), "root"))
    order = FileOrder(
        name="file", target_directory=str(tmp_path / "link"), content=b"", owner="", group="", mode="0644",
        overwrite=True, timeout_seconds=60,
    )  # fmt: skip
    executor._deliver_file("t-1", order, now_ms() + 60_000)
    assert [place.startswith(str(tmp_path / "real")) for place in places] == [False, True], places
    with pytest.raises(NotStarted, match="was being written before"):
        executor._deliver_file("t-1", order, now_ms() + 60_000)
