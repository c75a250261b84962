"""Secrets of timed invocations at rest: good for one invocation, with the installation's own key."""

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.security.signing import MasterKeys, new_master_keys
from cloud_assistant.broker_config.timed.secret_values import open_timed_secrets, seal_timed_secrets

MASTER = new_master_keys()
VALUES = {"token": "päss"}


def test_a_beat_opens_what_a_producer_sealed_also_after_a_rotation() -> None:
    sealed = seal_timed_secrets(MASTER, "t-1", VALUES)
    assert "päss" not in sealed
    assert open_timed_secrets(MASTER, "t-1", sealed) == VALUES
    assert open_timed_secrets(new_master_keys(MASTER), "t-1", sealed) == VALUES
    assert open_timed_secrets(None, "t-1", "") == {}


@pytest.mark.parametrize("master", [None, MasterKeys("k2", {"k2": b"x" * 32}), new_master_keys()])
def test_nobody_else_does(master: MasterKeys | None) -> None:
    with pytest.raises(Refused):
        open_timed_secrets(master, "t-1", seal_timed_secrets(MASTER, "t-1", VALUES))


def test_they_cannot_be_moved_to_another_invocation_or_changed() -> None:
    sealed = seal_timed_secrets(MASTER, "t-1", VALUES)
    with pytest.raises(Refused):
        open_timed_secrets(MASTER, "t-2", sealed)
    with pytest.raises(Refused):
        open_timed_secrets(MASTER, "t-1", sealed[:-8] + "AAAAAAA=")
