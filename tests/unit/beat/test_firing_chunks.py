"""The parts of a firing that need no Redis."""

from cloud_assistant.beat.firing_chunks import ChunkBuilder, jitter_ms
from cloud_assistant.broker_config.functions.timed import TimedReading
from cloud_assistant.broker_config.records import Command, Invocation, RepeatMode, Schedule, ScriptType
from cloud_assistant.broker_config.signing import MasterKeys
from cloud_assistant.broker_config.timed import timed_fields

MASTER = MasterKeys("k1", {"k1": b"m" * 32})


def reading(targets: list[str], master: MasterKeys | None = MASTER, **changed: str) -> TimedReading:
    command = Command(command_id="c-1", name="n", type=ScriptType.SHELL, content=b"true", created_ms=1)
    invocation = Invocation(
        invoke_id="t-1",
        command=command,
        created_ms=1,
        target_count=len(targets),
        done_channel="d",
        payload_token="p",
        schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 * * * *"),
    )
    fields = {name: str(value) for name, value in timed_fields(invocation, "digest", targets, master).items()}
    return TimedReading({**fields, **changed}, targets, [0] * len(targets), [False] * len(targets))


def may_sign(one: TimedReading, first_place: int = 0, master: MasterKeys | None = MASTER) -> bool:
    return ChunkBuilder(master, "beat", 100).may_sign("t-1", one, first_place)


def test_jitter_is_the_same_every_time_and_differs_between_instances() -> None:
    delays = [jitter_ms("t-1", f"i-{number}", 10.0) for number in range(200)]
    assert delays == [jitter_ms("t-1", f"i-{number}", 10.0) for number in range(200)]
    assert all(0 <= delay < 10_000 for delay in delays)
    # Evenly spread: every fifth of the time gets its share.
    assert all(20 <= sum(low <= delay < low + 2000 for delay in delays) <= 60 for low in range(0, 10_000, 2000))
    assert jitter_ms("t-1", "i-1", 0.0) == 0


def test_what_a_producer_sealed_may_be_signed_for() -> None:
    assert may_sign(reading(["i-1", "i-2"]))


def test_nothing_is_signed_that_was_changed_without_the_key() -> None:
    assert not may_sign(reading(["i-1"], digest="another"))
    assert not may_sign(reading(["i-1"], schedule='{"frequency":"* * * * * *"}'))
    assert not may_sign(reading(["i-1"], seal=""))
    assert not may_sign(reading(["i-1"], master=None))
    sealed = reading(["i-1"])
    assert not may_sign(TimedReading(sealed.fields, ["i-1", "i-2"], [0, 0], [False, False]))
    assert not ChunkBuilder(MASTER, "beat", 100).may_sign("t-other", sealed, 0)


def test_another_key_does_not_open_the_seal() -> None:
    assert not may_sign(reading(["i-1"]), master=MasterKeys("k1", {"k1": b"x" * 32}))


def test_each_part_of_the_targets_is_sealed_for_its_place() -> None:
    targets = [f"i-{number}" for number in range(500)]
    sealed = reading(targets)
    second = TimedReading(sealed.fields, targets[400:], [0] * 100, [False] * 100)
    assert may_sign(second, 400)
    assert not may_sign(second, 0)
    assert not may_sign(second, 800)


def test_without_a_key_nothing_is_sealed_and_nothing_is_checked() -> None:
    assert may_sign(reading(["i-1"], master=None), master=None)
