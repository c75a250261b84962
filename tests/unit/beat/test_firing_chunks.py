"""The parts of a firing that need no Redis."""

from cloud_assistant.beat.decisions import Fire
from cloud_assistant.beat.firing_chunks import LEASE_MS, ChunkBuilder, jitter_ms
from cloud_assistant.broker_config.functions.firings import FiringChunk
from cloud_assistant.broker_config.functions.timed import TimedReading
from cloud_assistant.broker_config.messages import decode_envelope
from cloud_assistant.broker_config.records import Command, Invocation, RepeatMode, Schedule, ScriptType
from cloud_assistant.broker_config.schedule import DueTime
from cloud_assistant.broker_config.security.envelope_signing import open_secrets
from cloud_assistant.broker_config.security.signing import MasterKeys, parse_signature, verify
from cloud_assistant.broker_config.timed.secret_values import FIELD, seal_timed_secrets
from cloud_assistant.broker_config.timed.timed_invocation import read_timed, timed_fields

DUE_MS = 1_780_272_000_000
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


def built(one: TimedReading, **changed: int) -> FiringChunk:
    timed = read_timed("t-1", {"status": "active", "revision": "7", "open_due_ms": "5", **one.fields})
    assert timed is not None
    fire = Fire(DueTime(DUE_MS), DueTime(DUE_MS + 60_000, "dst_gap"), "", DUE_MS + 59_999, "skip", "late")
    held = {"i-2": "k1.3", "i-3": "gone.1"}
    places = {"first_place": 0, "target_count": len(one.targets), **changed}
    builder = ChunkBuilder(MASTER, "beat", 100)
    return builder.build(timed, one, fire, held, pacing=builder.pacing_of(timed), **places)


def test_an_envelope_outlives_its_deadline_by_what_clocks_may_differ() -> None:
    envelope = decode_envelope(built(reading(["i-1"])).envelope)
    assert (envelope.firing_ms, envelope.created_ms) == (DUE_MS, DUE_MS)
    assert envelope.expires_ms == DUE_MS + 59_999 + 60_000


def test_the_last_of_a_line_waits_for_the_scripts_before_it_and_for_their_ends() -> None:
    schedule = '{"repeat_mode":"Period","frequency":"0 0 * * * *","pacing":{"at_once_count":1}}'
    chunks = [
        built(reading(["i-1", "i-2", "i-3"], schedule=schedule, grace_seconds=grace, timeout_seconds=timeout))
        for timeout, grace in (("10", "0"), ("10", "7"), ("15", "0"))
    ]
    lives_ms = [chunk.pacing.life_ms for chunk in chunks if chunk.pacing]
    # Two stand before it.
    assert [life - lives_ms[0] for life in lives_ms] == [0, 2 * 7_000, 2 * 5_000]
    for chunk, life_ms in zip(chunks, lives_ms, strict=True):
        assert decode_envelope(chunk.envelope).expires_ms == DUE_MS + 59_999 + life_ms + 60_000


def test_each_target_is_signed_for_with_the_key_that_it_holds() -> None:
    chunk = built(reading(["i-1", "i-2", "i-3"]))
    ordinary, rotated, lost = chunk.targets
    assert verify(MASTER.instance_key("i-1"), "i-1", chunk.envelope, ordinary.signature)
    assert verify(MASTER.instance_key("i-2", "k1.3"), "i-2", chunk.envelope, rotated.signature)
    # Its agent refuses it, and the others are not held up.
    assert lost.signature == b""


def test_secrets_are_encrypted_to_each_target_and_bound_to_its_envelope() -> None:
    sealed = seal_timed_secrets(MASTER, "t-1", {"TOKEN": "a secret"})
    one = reading(["i-1", "i-2"])
    chunk = built(TimedReading({**one.fields, FIELD: sealed}, one.targets, one.latest_ms, one.stopped))
    for target, key_id in zip(chunk.targets, ("k1", "k1.3"), strict=True):
        name = target.instance_id
        signature = parse_signature(target.signature)
        assert signature.key_id == key_id
        opened = open_secrets(MASTER.instance_key(name, key_id), name, chunk.envelope, signature.sealed)
        assert opened == {"TOKEN": "a secret"}


def test_secrets_that_cannot_be_opened_hold_up_nothing() -> None:
    """The agent misses them, and says so."""
    sealed = seal_timed_secrets(MASTER, "t-other", {"TOKEN": "a secret"})
    one = reading(["i-1"])
    [target] = built(TimedReading({**one.fields, FIELD: sealed}, one.targets, one.latest_ms, one.stopped)).targets
    assert parse_signature(target.signature).sealed == b""


def test_a_jitter_holds_each_target_back_and_a_pacing_has_its_own_time_for_delivery() -> None:
    schedule = '{"repeat_mode":"Period","frequency":"0 0 * * * *","jitter_seconds":10.0}'
    chunk = built(reading(["i-1"], schedule=schedule))
    assert [target.not_before_ms for target in chunk.targets] == [DUE_MS + jitter_ms("t-1", "i-1", 10.0)]
    assert chunk.key_id == "k1"
    schedule = '{"repeat_mode":"Period","frequency":"0 0 * * * *","pacing":{"at_once_count":1,"failures_count":3}}'
    paced = [built(reading(["i-1"], schedule=schedule, deliver_within_ms=within)).pacing for within in ("0", "5000")]
    assert [(one.deliver_within_ms, one.failures_count) for one in paced if one] == [(60_000, 3), (5_000, 3)]


def test_a_part_has_its_place_and_what_the_rest_of_the_decision_needs() -> None:
    one = TimedReading(reading(["i-1", "i-2"]).fields, ["i-1", "i-2", "i-new"], [0, 17, 0], [False, False, False])
    chunk = built(one, first_place=400, target_count=402)
    assert (chunk.first_place, chunk.end_place, chunk.target_count) == (400, 402, 402)
    assert [target.instance_id for target in chunk.targets] == ["i-1", "i-2"]
    assert [target.latest_execution_id for target in chunk.targets] == ["", "t-1.17@i-2"]
    assert {target.not_before_ms for target in chunk.targets} == {0}
    assert (chunk.revision, chunk.open_due_ms, chunk.note) == ("7", 5, "late")
    assert (chunk.next_due_ms, chunk.next_skipped) == (DUE_MS + 60_000, "dst_gap")


def test_the_decision_goes_into_each_part_as_it_was_made() -> None:
    one = reading(["i-1"], schedule='{"repeat_mode":"Period","frequency":"0 0 * * * *","max_count":7}')
    timed = read_timed("t-1", {"status": "active", "revision": "7", **one.fields})
    assert timed is not None
    fire = Fire(DueTime(DUE_MS), None, "end_time", DUE_MS + 59_999, "cancel")
    chunk = ChunkBuilder(None, "beat", 100).build(timed, one, fire, {}, first_place=0, target_count=1)
    assert (chunk.next_due_ms, chunk.next_skipped, chunk.end_reason) == (0, "", "end_time")
    assert (chunk.overlap, chunk.max_count, chunk.deadline_ms) == ("cancel", 7, DUE_MS + 59_999)
    assert (chunk.token, chunk.lease_ms, chunk.queue_count) == ("beat", LEASE_MS, 100)
    assert (chunk.key_id, chunk.targets[0].signature) == ("", b"")


def test_what_is_stopped_gets_nothing() -> None:
    one = reading(["i-1", "i-2"])
    chunk = built(TimedReading(one.fields, one.targets, one.latest_ms, [True, False]))
    assert [target.instance_id for target in chunk.targets] == ["i-2"]
    assert chunk.end_place == 2
