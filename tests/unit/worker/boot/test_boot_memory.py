"""By what names the journal remembers what ran because the machine started."""

from cloud_assistant.broker_config.messages import Envelope
from cloud_assistant.broker_config.timed.boot_bound import BOOT_FIRING_MS, NEXT_BOOT_FIRING_MS
from cloud_assistant.worker.boot.boot_memory import BOOT_REMEMBERED_MS, boot_name, invocation_of, is_boot_name

YEAR_MS = 365 * 24 * 3600 * 1000


def bound_to(firing_ms: int) -> Envelope:
    return Envelope(
        invoke_id="t-aaaaaaaa", firing_ms=firing_ms, attempt=1, digest="", created_ms=1, expires_ms=2, nonce=""
    )


def test_each_boot_has_a_name_of_its_own_and_the_next_one_only_one() -> None:
    boots = ("0f3a6c1e-1", "0f3a6c1e-2")
    assert len({boot_name(bound_to(BOOT_FIRING_MS), boot) for boot in boots}) == 2
    assert len({boot_name(bound_to(NEXT_BOOT_FIRING_MS), boot) for boot in boots}) == 1


def test_such_a_name_is_told_from_an_execution_and_knows_its_invocation() -> None:
    name = boot_name(bound_to(BOOT_FIRING_MS), "0f3a6c1e-1")
    assert (is_boot_name(name), is_boot_name("t-aaaaaaaa.0@i-one")) == (True, False)
    assert {invocation_of(name), invocation_of("t-aaaaaaaa.0@i-one")} == {"t-aaaaaaaa"}


def test_it_is_remembered_for_longer_than_machines_run() -> None:
    assert BOOT_REMEMBERED_MS > YEAR_MS
