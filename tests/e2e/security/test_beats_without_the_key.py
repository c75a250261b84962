"""Several beats of which one has no master key: what it cannot sign is left to the others."""

from typing import Any

import pytest

from harness.eventually import eventually

from .conftest import SecureSystem

pytestmark = pytest.mark.slow

EVERY_FIVE_SECONDS = {"CLOUD_ASSISTANT_BEAT_MINIMUM_INTERVAL_SECONDS": "5"}


def start_beats(secure: SecureSystem, *, with_key: bool) -> None:
    """Start the one without the key first: it takes every turn that it can have."""
    key_file = secure.assist("key", "create", "--output", "json").must_succeed().json["File"]
    secure.start_beat("without", environment=EVERY_FIVE_SECONDS)
    if with_key:
        environment = {**EVERY_FIVE_SECONDS, "CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": key_file}
        secure.start_beat("with", environment=environment)


def schedule(secure: SecureSystem) -> str:
    shown = secure.assist(
        *("run", "echo 123", "--instance", "i-one", "--timeout", "5", "--frequency", "*/5 * * * * *"),
        *("--output", "json"),
        environment=EVERY_FIVE_SECONDS,
    )
    return str(shown.must_succeed().json["InvokeId"])


def first_end(secure: SecureSystem, invoke_id: str) -> tuple[str, str]:
    """How the first execution of a timed invocation ended, and why."""

    def ended() -> Any:
        shown = secure.assist("invocation", "results", invoke_id, "--history", "--output", "json").must_succeed()
        return [one for one in shown.json["InvocationResults"] if one["FinishedTime"]][-1:]

    [found] = eventually(ended, 30, f"an end of {invoke_id}")
    return found["InvocationStatus"], found["ErrorCode"]


def test_each_due_time_is_fired_by_the_one_that_can_sign(secure: SecureSystem) -> None:
    secure.start_instance()
    start_beats(secure, with_key=True)
    made = [schedule(secure) for _ in range(6)]
    assert {first_end(secure, one) for one in made} == {("Success", "")}


def test_alone_it_fires_all_the_same_and_the_result_says_why_nothing_ran(secure: SecureSystem) -> None:
    secure.start_instance()
    start_beats(secure, with_key=False)
    assert first_end(secure, schedule(secure)) == ("Invalid", "SignatureInvalid")
