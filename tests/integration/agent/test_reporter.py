"""Results come to the ledger in order and for good; one that cannot be taken or read holds up no other."""

import re
import threading
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import monotonic_seconds, now_ms
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.claimant import Claimant
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.reporter import Reporter
from cloud_assistant.worker.spool import Spool
from cloud_assistant.worker.trust.key_ring import KeyRing
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


def calls_of_functions(redis: Redis) -> int:
    found = re.search(rb"cmdstat_fcall:calls=(\d+)", redis.call("INFO", "commandstats"))
    assert found is not None
    return int(found[1])


def is_saved(spool: Spool, execution_id: str) -> bool:
    return spool.load(execution_id) is not None


class Holder:
    """Who holds a script: what it was told of its result."""

    def __init__(self, *, clears: bool = True) -> None:
        self.told: list[bool] = []
        self._clears = clears

    def settle(self, clears: bool) -> bool:
        self.told.append(clears)
        return self._clears


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
    eventually(lambda: LATER not in reporter)
    assert state_of(redis, LATER) == b"Success"
    assert BROKEN in reporter

    damaged = f"t-eee.0@{ID}"
    spool.save(damaged, DONE)
    (spool.folder(damaged) / "outcome.json").write_bytes(b"{")
    reporter.wait_in_line(damaged)
    eventually(lambda: damaged not in reporter)
    assert state_of(redis, damaged) is None, "it is left to who looks at the ledger"
    assert spool.folder(damaged).exists()

    last = f"t-ddd.0@{ID}"
    reporter.deliver(last, DONE)
    assert (state_of(redis, last), last in reporter) == (b"Success", False), "it needs no disk"


def test_whatever_one_result_fails_at_the_others_are_delivered_and_it_is_tried_again(
    redis: Redis, spool: Spool, reporter: Reporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the agent may not have the memory for it at that moment."""
    is_full, read = threading.Event(), Path.read_bytes
    is_full.set()

    def read_if_there_is_memory(path: Path) -> bytes:
        if is_full.is_set() and path.parent.name == BROKEN:
            raise MemoryError
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_if_there_is_memory)
    for one in (BROKEN, WHOLE):
        spool.save(one, DONE)
        reporter.wait_in_line(one)
    reporter.start()
    eventually(lambda: state_of(redis, WHOLE) == b"Success")
    assert BROKEN in reporter

    is_full.clear()
    eventually(lambda: BROKEN not in reporter)
    assert state_of(redis, BROKEN) == b"Success"
    assert caplog.text.count("cannot be delivered and waits") == 1


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


def test_a_result_goes_behind_those_that_wait(redis: Redis, spool: Spool, reporter: Reporter) -> None:
    spool.save(WHOLE, DONE)
    reporter.wait_in_line(WHOLE)
    reporter.deliver(LATER, DONE)
    assert (state_of(redis, LATER), is_saved(spool, LATER), LATER in reporter) == (None, True, True)
    reporter.start()
    eventually(lambda: [state_of(redis, one) for one in (WHOLE, LATER)] == [b"Success"] * 2)


def test_an_agent_that_ends_while_redis_is_away_waits_for_no_result(reporter: Reporter, link: LinkState) -> None:
    link.note_failure(RedisUnreachable("away"))
    reporter.deliver(WHOLE, DONE)
    began_seconds = monotonic_seconds()
    assert reporter.flush(5.0) == 1
    assert monotonic_seconds() - began_seconds < 4


@pytest.mark.parametrize("keeps_scripts", [False, True])
def test_who_holds_a_script_is_told_once_its_result_is_safe(
    spool: Spool, link: LinkState, reporter: Reporter, keeps_scripts: bool
) -> None:
    spool.keeps_scripts = keeps_scripts
    delivered, waits = Holder(), Holder()
    reporter.deliver(WHOLE, DONE, delivered.settle)
    assert delivered.told == [not keeps_scripts], "nothing of a kept script is cleared away"
    link.note_failure(RedisUnreachable("away"))
    reporter.deliver(LATER, DONE, waits.settle)
    assert (waits.told, is_saved(spool, LATER)) == ([False], True)


def test_the_holder_of_a_result_that_no_disk_takes_keeps_it_until_redis_has_it(
    redis: Redis, spool: Spool, link: LinkState, reporter: Reporter
) -> None:
    spool.keeps_scripts = False
    (spool.folder(WHOLE) / "outcome.json.new").mkdir(parents=True)
    holder = Holder()
    link.note_failure(RedisUnreachable("away"))
    reporter.deliver(WHOLE, DONE, holder.settle)
    assert holder.told == []
    # It has only one place, wherever else it is found.
    reporter.wait_in_line(WHOLE)
    link.note_success()
    reporter.start()
    eventually(lambda: holder.told == [True])
    assert state_of(redis, WHOLE) == b"Success"


def test_what_redis_takes_from_nobody_is_no_fault_of_one_result(
    redis: Redis, link: LinkState, reporter: Reporter
) -> None:
    reporter.deliver(BROKEN, DONE)  # the functions are loaded
    redis.call("CONFIG", "SET", "maxmemory", "1")
    reporter.deliver(WHOLE, DONE)
    assert (link.is_up, WHOLE in reporter) == (False, True)
    link.note_success()
    reporter.start()
    eventually(lambda: not link.is_up, what="who brings what waits tells of it as well")
    redis.call("CONFIG", "SET", "maxmemory", "0")
    eventually(lambda: state_of(redis, WHOLE) == b"Success")
    eventually(lambda: link.is_up, what="Redis serves again")


def test_a_result_that_redis_does_not_take_is_set_aside_until_it_does(
    redis: Redis, spool: Spool, reporter: Reporter
) -> None:
    redis.call("SET", keys.execution(ID, BROKEN), "no row")
    for one in (BROKEN, WHOLE):
        spool.save(one, DONE)
        reporter.wait_in_line(one)
    reporter.start()
    eventually(lambda: WHOLE not in reporter)
    assert state_of(redis, WHOLE) == b"Success"
    assert BROKEN in reporter
    # It is tried again, and not all the time.
    calls_count = calls_of_functions(redis)
    for number in range(200):
        reporter.deliver(f"t-{number:08d}.0@{ID}", DONE)
    assert calls_of_functions(redis) < calls_count + 200 + 20
    redis.call("DEL", keys.execution(ID, BROKEN))
    eventually(lambda: BROKEN not in reporter)
    assert state_of(redis, BROKEN) == b"Success"

    reporter.deliver(LATER, DONE)
    assert (state_of(redis, LATER), spool.folder(LATER).exists()) == (b"Success", False)


def test_a_claim_that_redis_has_lost_is_made_again(redis: Redis, reporter: Reporter) -> None:
    row = keys.execution(ID, WHOLE)
    redis.call("HSET", row, "state", "Pending", "deadline_ms", now_ms() + 60_000, "timeout_seconds", 60)
    reporter.deliver(WHOLE, DONE)
    assert redis.call("HMGET", row, "state", "epoch") == [b"Success", b"e"]


def test_a_result_waits_until_the_sweeper_has_ended_a_row_that_nobody_can_claim_any_more(
    redis: Redis, spool: Spool, reporter: Reporter
) -> None:
    row = keys.execution(ID, WHOLE)
    redis.call("HSET", row, "state", "Pending", "deadline_ms", now_ms() - 60_000, "timeout_seconds", 60)
    started = Outcome(state=ExecutionState.SUCCESS, started_ms=1, finished_ms=2, exit_code=0)
    reporter.deliver(WHOLE, started)
    assert (state_of(redis, WHOLE), is_saved(spool, WHOLE)) == (b"Pending", True)
    redis.call("HSET", row, "state", "Aborted", "error_code", "DeliveryTimeout", "finished_ms", 5)
    reporter.start()
    eventually(lambda: state_of(redis, WHOLE) == b"Success")
