"""The seal of a dispatch: beat completes exactly what the producer has meant."""

from collections.abc import Callable

import msgspec
import pytest

from cloud_assistant.broker_config.records import Command, Invocation, ScriptType
from cloud_assistant.broker_config.security.dispatch_seal import is_dispatch_sealed, with_dispatch_seal
from cloud_assistant.broker_config.security.signing import new_master_keys

MASTER = new_master_keys()
MEANT = with_dispatch_seal(
    Invocation(
        invoke_id="t-1",
        command=Command(command_id="c-1", name="x", type=ScriptType.SHELL, content=b"true", created_ms=1),
        created_ms=1_000,
        target_count=2,
        done_channel="done",
        payload_token="token",
        deliver_within_seconds=60,
    ),
    "digest",
    ["i-1", "i-2"],
    MASTER,
)


def test_a_dispatch_is_sealed_as_it_was_meant() -> None:
    assert is_dispatch_sealed(MEANT, "digest", ["i-1", "i-2"], MASTER)
    assert is_dispatch_sealed(MEANT, "digest", ["i-1", "i-2"], new_master_keys(MASTER))
    assert not is_dispatch_sealed(MEANT, "digest", ["i-1", "i-2"], new_master_keys())


@pytest.mark.parametrize(
    "change",
    [
        lambda: is_dispatch_sealed(msgspec.structs.replace(MEANT, invoke_id="t-2"), "digest", ["i-1", "i-2"], MASTER),
        lambda: is_dispatch_sealed(msgspec.structs.replace(MEANT, created_ms=1_001), "digest", ["i-1", "i-2"], MASTER),
        lambda: is_dispatch_sealed(
            msgspec.structs.replace(MEANT, deliver_within_seconds=61), "digest", ["i-1", "i-2"], MASTER
        ),
        lambda: is_dispatch_sealed(MEANT, "another", ["i-1", "i-2"], MASTER),
        lambda: is_dispatch_sealed(MEANT, "digest", ["i-1", "i-2", "i-3"], MASTER),
        lambda: is_dispatch_sealed(MEANT, "digest", ["i-1"], MASTER),
        lambda: is_dispatch_sealed(MEANT, "digest", ["i-2", "i-1"], MASTER),
        lambda: is_dispatch_sealed(msgspec.structs.replace(MEANT, dispatch_seal=""), "digest", ["i-1", "i-2"], MASTER),
    ],
    ids=["invocation", "beginning", "time", "order", "more targets", "fewer targets", "others", "no seal"],
)
def test_nothing_of_a_sealed_dispatch_can_be_changed(change: Callable[[], bool]) -> None:
    assert not change()


def test_without_a_master_key_nothing_is_sealed() -> None:
    assert with_dispatch_seal(MEANT, "digest", ["i-1"], None) == MEANT
