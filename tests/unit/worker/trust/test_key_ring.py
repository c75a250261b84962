"""The keys of an instance in use, and how they are replaced."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.security.envelope_signing import seal_secrets
from cloud_assistant.broker_config.security.key_bundle import KeyBundle, wrap
from cloud_assistant.broker_config.security.result_signing import is_signed_result, signature_of, signing_key_id
from cloud_assistant.broker_config.security.signing import new_master_keys
from cloud_assistant.worker.trust.key_ring import KeyRing

MASTER = new_master_keys()
NEWER = new_master_keys(MASTER)
OLD, NEW = "k1.5", "k2.6"
CONFIGURED = f"{OLD}:{MASTER.instance_key('i-1', OLD).hex()}"


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path, "i-1", CONFIGURED)


def bundle(*key_ids: str, serial: int = 1, wrapped_with: str = OLD) -> bytes:
    held = {one: NEWER.instance_key("i-1", one) for one in key_ids}
    return wrap(
        KeyBundle(serial, key_ids[-1], held), "i-1", key_id=wrapped_with, key=NEWER.instance_key("i-1", wrapped_with)
    )


def accepts(ring: KeyRing, key_id: str) -> bool:
    return ring.accepts("", b"message", NEWER.sign("i-1", b"message", key_id))


def test_during_the_overlap_both_keys_are_accepted_and_the_new_one_signs(ring: KeyRing) -> None:
    assert (accepts(ring, OLD), accepts(ring, NEW)) == (True, False)
    ring.take_up(bundle(OLD, NEW))
    assert (accepts(ring, OLD), accepts(ring, NEW)) == (True, True)
    assert ring.key_ids == f"{NEW},{OLD}"
    fields = ring.signed("t-1", "Success", {"finished_ms": 1})
    row = {name.encode(): one if isinstance(one, bytes) else str(one).encode() for name, one in fields.items()}
    assert (fields["started_ms"], fields["finished_ms"]) == (0, 1)
    assert signing_key_id(signature_of(row)) == NEW
    assert is_signed_result(NEWER.instance_key("i-1", NEW), "t-1", {**row, b"state": b"Success"})


def test_a_key_that_was_withdrawn_is_accepted_no_more(ring: KeyRing) -> None:
    ring.take_up(bundle(OLD, NEW))
    ring.take_up(bundle(NEW, serial=2, wrapped_with=NEW))
    assert (accepts(ring, OLD), accepts(ring, NEW)) == (False, True)


@pytest.mark.parametrize("serial", [1, 2])
def test_a_bundle_that_is_not_later_is_refused_though_the_key_around_it_is_still_held(
    ring: KeyRing, tmp_path: Path, serial: int
) -> None:
    ring.take_up(bundle(OLD, NEW, serial=2))
    for anew in (ring, KeyRing(tmp_path, "i-1", CONFIGURED)):
        anew.take_up(bundle(OLD, serial=serial))
        assert accepts(anew, NEW)


def test_an_earlier_bundle_cannot_be_brought_back(ring: KeyRing, tmp_path: Path) -> None:
    first, second = bundle(OLD, NEW), bundle(NEW, serial=2, wrapped_with=NEW)
    ring.take_up(first)
    ring.take_up(second)
    for anew in (ring, KeyRing(tmp_path, "i-1", CONFIGURED)):
        anew.take_up(first)
        assert not accepts(anew, OLD)


def test_new_keys_that_could_not_be_kept_are_taken_up_when_they_can_be(tmp_path: Path) -> None:
    home, sent = tmp_path / "home", bundle(OLD, NEW)
    ring = KeyRing(home, "i-1", CONFIGURED)
    ring.take_up(sent)
    assert not accepts(ring, NEW)
    home.mkdir()
    # The same comes with each heartbeat.
    ring.take_up(sent)
    assert accepts(ring, NEW)
    assert accepts(KeyRing(home, "i-1", CONFIGURED), NEW)


def test_a_refused_bundle_that_comes_with_each_heartbeat_is_told_once(
    ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    for forged in (b"k9:x", b"k9:x", b"k9:y", b"k9:y"):
        ring.take_up(forged)
    assert len(caplog.records) == 2


def test_without_keys_everything_is_accepted_and_nothing_signed(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path, "i-1", "")
    assert not ring
    assert ring.accepts("", b"message", b"")
    assert ring.signed("t-1", "Success", {"finished_ms": 1}) == {"finished_ms": 1}
    ring.take_up(bundle(OLD, NEW))
    assert not ring


def test_secrets_open_with_the_key_that_their_signature_names(ring: KeyRing) -> None:
    key = MASTER.instance_key("i-1", OLD)
    sealed = seal_secrets(key, "i-1", b"envelope", {"token": "x"})
    signature = MASTER.sign("i-1", b"envelope", OLD, sealed)
    assert ring.open_secrets(b"envelope", signature) == {"token": "x"}
    assert ring.open_secrets(b"envelope", MASTER.sign("i-1", b"envelope", OLD)) == {}
    with pytest.raises(Refused):
        ring.open_secrets(b"another", signature)


def test_secrets_for_an_agent_without_the_key_are_refused(tmp_path: Path) -> None:
    key = MASTER.instance_key("i-1", OLD)
    signature = MASTER.sign("i-1", b"envelope", OLD, seal_secrets(key, "i-1", b"envelope", {"token": "x"}))
    with pytest.raises(Refused):
        KeyRing(tmp_path, "i-1", "").open_secrets(b"envelope", signature)
