"""A folder that the disk does not give, or does not clear, holds up no other result."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.claimant import Claimant
from cloud_assistant.worker.key_ring import KeyRing
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.reporter import Reporter
from cloud_assistant.worker.spool import Spool
from harness.eventually import eventually

ID = "i-one"
BROKEN, WHOLE, LATER = (f"t-{name}.0@{ID}" for name in ("aaa", "bbb", "ccc"))
DONE = Outcome(state=ExecutionState.SUCCESS, finished_ms=1, exit_code=0)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool", limit_bytes=1_000_000, keep_scripts=True)
    made.make()
    return made


@pytest.fixture
def link() -> LinkState:
    return LinkState()


@pytest.fixture
def reporter(redis: Redis, spool: Spool, link: LinkState, tmp_path: Path) -> Reporter:
    claimant = Claimant(instance_id=ID, epoch="e", boot_id="b", report_margin_ms=1000)
    return Reporter(redis, spool, link, claimant, retention_ms=60_000, keys=KeyRing(tmp_path, ID, ""))


def state_of(redis: Redis, execution_id: str) -> bytes | None:
    found: bytes | None = redis.call("HGET", keys.execution(ID, execution_id), "state")
    return found


def test_a_result_that_cannot_be_read_holds_up_none_behind_it(redis: Redis, spool: Spool, reporter: Reporter) -> None:
    # Reading it fails as a bad sector would.
    (spool.folder(BROKEN) / "outcome.json").mkdir(parents=True)
    spool.save(WHOLE, DONE)
    for one in (BROKEN, WHOLE):
        reporter.wait_in_line(one)
    reporter.start()
    eventually(lambda: state_of(redis, WHOLE) == b"Success")

    spool.save(LATER, DONE)
    reporter.wait_in_line(LATER)
    eventually(lambda: state_of(redis, LATER) == b"Success")
    assert BROKEN in reporter


def test_a_folder_that_cannot_be_cleared_is_a_delivered_result_all_the_same(
    redis: Redis, spool: Spool, reporter: Reporter, caplog: pytest.LogCaptureFixture
) -> None:
    folder = spool.folder(WHOLE)
    folder.mkdir()
    (folder / "script.sh").touch()
    # No mark can be set there, as on a full disk.
    (folder / "delivered").symlink_to(folder / "nowhere" / "mark")

    reporter.deliver(WHOLE, DONE)

    assert state_of(redis, WHOLE) == b"Success"
    assert WHOLE not in reporter
    assert "cannot be cleared" in caplog.text


def test_what_is_delivered_once_more_leaves_the_folder_to_the_supervisor_that_clears_it(
    redis: Redis, spool: Spool, link: LinkState, reporter: Reporter
) -> None:
    """It uses the folder for another execution as soon as it is empty, whoever is still at work in there."""
    spool.keeps_scripts = False
    folder = spool.folder(WHOLE)
    folder.mkdir()
    told: list[bool] = []

    def clear_later(clears: bool) -> bool:
        told.append(clears)
        return True

    reporter.deliver(WHOLE, DONE, clear_later)
    redis.call("DEL", keys.execution(ID, WHOLE))
    link.note_failure(RedisUnreachable("a moment"))
    link.note_success()
    assert state_of(redis, WHOLE) == b"Success", "it is delivered once more"
    assert reporter.deliver_again(WHOLE)

    assert (told, folder.is_dir()) == ([True], True)
