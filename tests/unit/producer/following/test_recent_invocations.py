"""The last invocations of a process, kept by many threads at once."""

import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from cloud_assistant.broker_config.dispatch import Dispatched
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.ledger import StoredInvocation
from cloud_assistant.broker_config.records import Command, Invocation, ScriptType
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.following import recent_invocations
from cloud_assistant.producer.following.announcements import Announcements
from cloud_assistant.producer.following.recent_invocations import RecentInvocations

KEPT_COUNT = 5
ROUNDS_COUNT = 6_000
COMMAND = Command(command_id="c-1", name="t", type=ScriptType.SHELL, content=b"true", created_ms=1, kept=False)


@pytest.fixture
def recent(monkeypatch: pytest.MonkeyPatch) -> RecentInvocations:
    """Nothing answers there: what is not remembered cannot be found."""
    monkeypatch.setattr(recent_invocations, "_MOST_COUNT", KEPT_COUNT)
    nowhere = Redis("redis://127.0.0.1:1")
    return RecentInvocations(nowhere, Announcements(nowhere))


@pytest.fixture
def _eager_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def make(recent: RecentInvocations, invoke_id: str, targets: Sequence[str] = ("i-1",)) -> None:
    record = Invocation(
        invoke_id=invoke_id, command=COMMAND, created_ms=1, target_count=1, done_channel="", payload_token=""
    )
    recent.make(StoredInvocation(record=record), targets, lambda: Dispatched(len(targets), 0))


def is_remembered(recent: RecentInvocations, invoke_id: str) -> bool:
    try:
        return recent.find(invoke_id).stored.record.invoke_id == invoke_id
    except RedisUnreachable:
        return False


@pytest.mark.usefixtures("_eager_threads")
def test_threads_that_make_and_end_invocations_leave_the_last_few(recent: RecentInvocations) -> None:
    failures: list[RuntimeError] = []

    def work(number: int) -> None:
        try:
            for count in range(ROUNDS_COUNT):
                make(recent, f"t-{number}-{count}")
                if count % 3 == 0:
                    recent.forget(f"t-{number}-{count}")
        except RuntimeError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    names = [f"t-{number}-{count}" for number in range(8) for count in range(ROUNDS_COUNT - 50, ROUNDS_COUNT)]
    assert sum(is_remembered(recent, one) for one in names) <= KEPT_COUNT


def test_the_oldest_is_let_go_of_first(recent: RecentInvocations) -> None:
    names = [f"t-{count}" for count in range(KEPT_COUNT + 2)]
    for one in names:
        make(recent, one)
    assert [one for one in names if is_remembered(recent, one)] == names[2:]


def test_the_targets_of_large_ones_are_not_kept(recent: RecentInvocations) -> None:
    few, many = ([f"i-{number}" for number in range(count)] for count in (100, 101))
    make(recent, "t-few", few)
    make(recent, "t-many", many)
    assert (recent.find("t-few").targets, recent.find("t-many").targets) == (few, ())
