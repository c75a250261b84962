"""Lines of targets that wait for one another, and how long the last of them may have to."""

import msgspec
import pytest

from cloud_assistant.broker_config.pacing import life_ms, lines
from cloud_assistant.broker_config.records import Command, Invocation, Pacing, ScriptType
from cloud_assistant.broker_config.security.dispatch_seal import is_dispatch_sealed, with_dispatch_seal
from cloud_assistant.broker_config.security.signing import new_master_keys

DAY_MS = 86_400_000


def invocation(pacing: Pacing | None, target_count: int = 5, timeout_seconds: int = 60) -> Invocation:
    command = Command(command_id="c-1", name="t", type=ScriptType.SHELL, content=b"x", created_ms=1)
    return Invocation(
        invoke_id="t-1",
        command=command,
        created_ms=1,
        target_count=target_count,
        done_channel="d",
        payload_token="p",
        timeout_seconds=timeout_seconds,
        pacing=pacing,
    )


def test_each_waits_for_the_one_so_many_places_before_it() -> None:
    assert lines(["a", "b", "c", "d", "e"], Pacing(at_once_count=2)) == {
        "a": ("", "c"),
        "b": ("", "d"),
        "c": ("a", "e"),
        "d": ("b", ""),
        "e": ("c", ""),
    }


def test_the_last_may_have_to_wait_for_all_the_time_of_those_before_it() -> None:
    assert life_ms(invocation(None), 30_000) == 30_000
    # Three turns: two of delivery, script and a minute, then its own delivery.
    assert life_ms(invocation(Pacing(at_once_count=2)), 30_000) == 30_000 + 2 * (30_000 + 60_000 + 60_000)
    assert life_ms(invocation(Pacing(at_once_count=5)), 30_000) == 30_000


def test_nobody_waits_for_more_than_a_month_but_who_was_given_it() -> None:
    long = invocation(Pacing(at_once_count=1), 10_000, timeout_seconds=3600)
    assert life_ms(long, 30_000) == 30 * DAY_MS
    assert life_ms(long, 40 * DAY_MS) == 40 * DAY_MS


@pytest.mark.parametrize("other", [None, Pacing(at_once_count=3), Pacing(at_once_count=2, failures_count=2)])
def test_the_seal_of_a_dispatch_covers_its_pacing(other: Pacing | None) -> None:
    master = new_master_keys()
    sealed = with_dispatch_seal(invocation(Pacing(at_once_count=2, failures_count=1)), "digest", ["a"], master)
    assert is_dispatch_sealed(sealed, "digest", ["a"], master)
    assert not is_dispatch_sealed(msgspec.structs.replace(sealed, pacing=other), "digest", ["a"], master)
