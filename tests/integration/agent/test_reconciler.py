"""What the ledger and the agent disagree about is settled once, however long the slots are taken."""

import threading
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.worker.claimant import Claimant
from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.in_hand import InHand
from cloud_assistant.worker.journal import Journal
from cloud_assistant.worker.key_ring import KeyRing
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.live_output import LiveOutput
from cloud_assistant.worker.reconciler import Reconciler
from cloud_assistant.worker.reporter import Reporter
from cloud_assistant.worker.slots import Slots
from cloud_assistant.worker.spool import Spool
from harness.eventually import eventually

ID = "i-one"
EXECUTION = f"t-aaa.0@{ID}"


@pytest.fixture
def reconciler(redis: Redis, tmp_path: Path) -> Reconciler:
    claimant = Claimant(instance_id=ID, epoch="this", boot_id="b", report_margin_ms=1000)
    spool = Spool(tmp_path / "spool", limit_bytes=1_000_000, keep_scripts=False)
    spool.make()
    reporter = Reporter(redis, spool, LinkState(), claimant, retention_ms=60_000, keys=KeyRing(tmp_path, ID, ""))
    return Reconciler(
        redis=redis,
        claimant=claimant,
        journal=Journal(tmp_path / "journal", fsync=False),
        launcher=Launcher(),
        spool=spool,
        reporter=reporter,
        in_hand=InHand(),
        slots=Slots(1),
        live_output=lambda one: LiveOutput(redis, ID, one, most_bytes=1000),
        has_message=lambda _: False,
    )


def test_a_row_that_waits_for_a_slot_is_not_settled_again_by_each_look(redis: Redis, reconciler: Reconciler) -> None:
    row = keys.execution(ID, EXECUTION)
    redis.call("HSET", row, "state", "Running", "epoch", "an earlier one", "boot_id", "b", "invoke_id", "t-aaa")
    redis.call("ZADD", keys.open_executions(ID), 1, EXECUTION)
    gate, slots = threading.Event(), reconciler.slots

    def occupy() -> None:
        gate.wait(20)

    slots.submit(occupy)
    eventually(lambda: slots.free_count == 0)
    try:
        for _ in range(5):
            reconciler.look()
        waiting_count = slots.waiting_count
    finally:
        gate.set()

    assert waiting_count == 1
    eventually(lambda: redis.call("HGET", row, "state") == b"Error")
    eventually(lambda: EXECUTION not in reconciler.in_hand)
