"""Keys of instances and signatures over envelopes."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.broker_config.security import signing
from cloud_assistant.broker_config.security.result_signing import sign_result

OLD = signing.MasterKeys("k1", {"k1": b"m" * 32})


def test_an_instance_key_is_hkdf_of_the_master_key_over_its_id() -> None:
    master = signing.MasterKeys("k1", {"k1": b"m" * 32})
    expected = HKDF(
        algorithm=SHA256(), length=32, salt=b"cloud-assistant instance keys v1", info=b"instance i-1"
    ).derive(b"m" * 32)
    assert master.instance_key("i-1") == expected


def test_a_signature_is_good_for_one_instance_one_message_and_one_key() -> None:
    master = signing.new_master_keys()
    given = master.sign("i-1", b"message")
    key = master.instance_key("i-1")
    assert signing.verify(key, "i-1", b"message", given)
    assert not signing.verify(key, "i-1", b"messagf", given)
    assert not signing.verify(key, "i-2", b"message", given)
    assert not signing.verify(master.instance_key("i-2"), "i-2", b"message", given)
    assert not signing.verify(key, "i-1", b"message", b"")


def test_a_rotated_master_key_signs_anew_and_still_derives_the_old_keys() -> None:
    first = signing.new_master_keys()
    second = signing.new_master_keys(first)
    assert second.current != first.current
    assert second.instance_key("i-1", first.current) == first.instance_key("i-1")
    assert second.instance_key("i-1") != first.instance_key("i-1")


def test_the_key_file_is_private_and_reads_back(tmp_path: Path) -> None:
    master = signing.new_master_keys(signing.new_master_keys())
    path = tmp_path / "keys" / "master-key.json"
    signing.write_master_keys(path, master)
    assert path.stat().st_mode & 0o777 == 0o600
    assert signing.read_master_keys(path) == master


def test_a_key_file_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "master-key.json"
    signing.write_master_keys(path, signing.new_master_keys())
    path.chmod(0o640)
    with pytest.raises(SettingsInvalid, match="chmod 600"):
        signing.read_master_keys(path)


@pytest.mark.parametrize("text", ["", "{}", '{"current":"a","keys":{"a":"00"}}', '{"current":"b","keys":{"a":"zz"}}'])
def test_a_broken_key_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master-key.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsInvalid, match="master key file"):
        signing.read_master_keys(path)


def test_a_generation_gives_an_instance_another_key_of_the_same_master_key() -> None:
    master = signing.new_master_keys()
    given = master.sign("i-1", b"message", "k1.2")
    assert signing.parse_signature(given).key_id == "k1.2"
    assert signing.verify(master.instance_key("i-1", "k1.2"), "i-1", b"message", given)
    assert not signing.verify(master.instance_key("i-1"), "i-1", b"message", given)
    assert not signing.verify(master.instance_key("i-1", "k1.3"), "i-1", b"message", given)


def test_a_signature_covers_what_is_sealed_beside_the_message() -> None:
    master = signing.new_master_keys()
    key = master.instance_key("i-1")
    given = master.sign("i-1", b"message", sealed=b"c2VhbGVk")
    assert signing.verify(key, "i-1", b"message", given)
    assert not signing.verify(key, "i-1", b"message", given.replace(b"c2VhbGVk", b"YW5vdGhl"))
    assert not signing.verify(key, "i-1", b"message", given.rpartition(b":")[0]), "taken away"
    assert not signing.verify(key, "i-1", b"message", master.sign("i-1", b"message") + b":YW5vdGhl"), "added"


def test_a_seal_is_good_for_one_purpose_and_the_very_bytes_and_outlives_a_rotation() -> None:
    master = signing.new_master_keys()
    seal = master.seal("command", b"record")
    assert master.is_sealed("command", b"record", seal)
    assert signing.new_master_keys(master).is_sealed("command", b"record", seal)
    assert not master.is_sealed("command", b"recorc", seal)
    assert not master.is_sealed("invocation", b"record", seal)
    assert not master.is_sealed("command", b"record", "")
    assert not signing.new_master_keys().is_sealed("command", b"record", seal)


def test_the_name_of_a_new_master_key_is_never_that_of_one_that_was_retired() -> None:
    third = signing.new_master_keys(signing.new_master_keys(signing.new_master_keys()))
    left = signing.MasterKeys(third.current, {third.current: third.keys[third.current]})
    assert (third.current, signing.new_master_keys(left).current) == ("k3", "k4")


def test_keys_do_not_show_where_somebody_prints_them() -> None:
    master = signing.MasterKeys("k1", {"k1": b"m" * 32})
    assert "k1" in repr(master)
    assert "mmm" not in repr(master)


@pytest.mark.parametrize("key_id", ["", "k1", "k1.3"])
def test_a_signature_names_its_key(key_id: str) -> None:
    master = signing.MasterKeys("k1", {"k1": b"m" * 32})
    assert signing.parse_signature(master.sign("i-1", b"message", key_id)).key_id == (key_id or "k1")
    assert str(signing.parse_key_id(key_id or "k1")) == (key_id or "k1")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            OLD.sign("i-1", b"message"),
            b"k1:0404f0ae7792ff9f7f76d3555e8bd907e7f07a1819b64dd887d29a3703741d1e",
        ),
        (
            OLD.sign("i-1", b"message", "k1.2", b"c2VhbGVk"),
            b"k1.2:87fc7f9232e5a1a3c87aa7046c16af40c59692d8d8d17e1b3b7dd20c705db338:c2VhbGVk",
        ),
        (OLD.seal("command", b"record"), "k1:289e525c3a7670529c6dda033538829aa51047a316824234659781f2efcf8d98"),
        (OLD.fingerprint(), "c0ae236f8de474bc"),
        (signing.digest(b"order"), "3eeb7e96e59ce40f9cb1a089daba079fd699f6867a30f6634af8570967b2375a"),
        (
            sign_result("k1", OLD.instance_key("i-1"), "t-1", {"state": "Success", "exit_code": 0, "output": b"123"}),
            b"k1:8b3a7cdd8f7f9ae4b0cbece01cbd87ab43f580f9487e4b51670d02e8e9264a34",
        ),
    ],
    ids=["signature", "signature with secrets", "seal", "fingerprint", "digest", "result"],
)
def test_what_another_release_has_made_is_what_this_one_makes(made: object, expected: object) -> None:
    """Agents and stored records live through upgrades."""
    assert made == expected


def test_what_names_no_key_of_ours_is_a_refusal_and_no_failure() -> None:
    master = signing.new_master_keys()
    sealed = master.seal("command", b"record")
    assert not master.is_sealed("command", b"record", sealed.replace("k1:", "k9:"))
    for text in ("", "k 1", "k1.", "k1.x", "k" * 33):
        with pytest.raises(KeyError):
            signing.parse_key_id(text)
    assert signing.parse_signature(b"abc", "k7") == signing.Signature("k7", b"abc")
    assert signing.parse_signature(b"\xff:abc").mac == b"abc"


def test_a_key_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"none\.json does not exist; copy it here"):
        signing.read_master_keys(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text",
    [
        '{"current": "k2", "keys": {"k1": "%s"}}' % ("00" * 32),
        '{"current": "k1", "keys": {"k1": "%s", "k2": "00"}}' % ("00" * 32),
        '{"current": "k1", "keys": {}}',
    ],
    ids=["current is not there", "one too short", "none"],
)
def test_a_key_file_without_a_current_key_or_with_a_short_one_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master-key.json"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(SettingsInvalid, match="'current' must name one of 'keys', each of 32 bytes or more"):
        signing.read_master_keys(path)
