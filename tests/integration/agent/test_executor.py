"""What an executor reports when the machine gives it no more: in this process, where that can be arranged."""

import errno
import os
from pathlib import Path

import pytest
from integration.agent.operator_side import Operator

from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.settings_table import AgentSettings
from cloud_assistant.worker.claimant import Claimant
from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.executor import Executor, Facts
from cloud_assistant.worker.in_hand import InHand
from cloud_assistant.worker.journal import Journal
from cloud_assistant.worker.key_ring import KeyRing
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.live_output import LiveOutput
from cloud_assistant.worker.policy_file import PolicyFile, PolicyGuard
from cloud_assistant.worker.reporter import Reporter
from cloud_assistant.worker.spool import Spool
from cloud_assistant.worker.verification import Verifier

ID = "i-one"


@pytest.fixture
def executor(redis: Redis, tmp_path: Path) -> Executor:
    home = tmp_path / "home"
    spool = Spool(home / "spool", limit_bytes=1_000_000, keep_scripts=False)
    spool.make()
    claimant = Claimant(instance_id=ID, epoch="this", boot_id="b", report_margin_ms=1000)
    link, keys = LinkState(), KeyRing(home, ID, "")
    return Executor(
        redis=redis,
        claimant=claimant,
        verifier=Verifier(ID, keys, tolerance_ms=1000),
        policy=PolicyGuard(PolicyFile(""), "root"),
        journal=Journal(home / "journal", fsync=True),
        launcher=Launcher(),
        spool=spool,
        reporter=Reporter(redis, spool, link, claimant, retention_ms=60_000, keys=keys),
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
