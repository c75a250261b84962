import pytest

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.worker import link_state
from cloud_assistant.worker.link_state import LinkState, RedisTrouble, concerns_all


def test_who_waits_for_the_return_of_redis_learns_when_it_was_missed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told just before then may be lost, however long Redis stayed away."""
    now, told = [100.0], list[float]()
    monkeypatch.setattr(link_state, "monotonic_seconds", lambda: now[0])
    link = LinkState()
    link.on_return(told.append)
    for problem in (RedisUnreachable("away"), RedisUnreachable("away"), RedisRefused("LOADING it reads")):
        link.note_failure(problem)
        assert not link.is_up
        now[0] += 30
    link.note_success()
    link.note_success()
    assert (link.is_up, told) == (True, [100.0])

    now[0] = 500.0
    link.note_failure(RedisUnreachable("away"))
    link.note_success()
    assert told == [100.0, 500.0]


def test_what_is_wrong_is_told_once_and_again_when_it_is_something_else(caplog: pytest.LogCaptureFixture) -> None:
    link = LinkState()
    for trouble in (
        RedisUnreachable("away"),
        RedisUnreachable("still away"),
        RedisRefused("WRONGPASS no"),
        RedisRefused("WRONGPASS no"),
    ):
        link.note_failure(trouble)
    assert [line.split(": ")[1].split(";")[0] for line in caplog.messages] == ["away", "WRONGPASS no"]


@pytest.mark.parametrize(
    ("trouble", "is_of_all"),
    [
        (RedisUnreachable("away"), True),
        *((RedisRefused(f"{kind} and why"), True) for kind in ("LOADING", "OOM", "MISCONF", "READONLY", "MASTERDOWN")),
        *((RedisRefused(f"{kind} and why"), True) for kind in ("NOREPLICAS", "NOPERM", "NOAUTH", "WRONGPASS", "BUSY")),
        *((RedisRefused(f"{kind} and why"), False) for kind in ("WRONGTYPE", "ERR")),
    ],
    ids=str,
)
def test_a_refusal_of_one_command_is_told_from_one_of_all(trouble: RedisTrouble, is_of_all: bool) -> None:
    assert concerns_all(trouble) == is_of_all
