"""Where an instance has its keys from, and which of them count."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.broker_config.security.signing import new_master_keys
from cloud_assistant.worker.trust.instance_key import FILE_NAME, InstanceKeys, keep_instance_keys, read_instance_keys

MASTER = new_master_keys()
KEY = MASTER.instance_key("i-1", "k1.5")
CONFIGURED = f"k1.5:{KEY.hex()}"


def test_the_key_comes_from_the_setting(tmp_path: Path) -> None:
    keys = read_instance_keys(tmp_path, CONFIGURED)
    assert keys == InstanceKeys({"k1.5": KEY}, "k1.5")
    assert read_instance_keys(tmp_path) is None


def test_it_accepts_what_was_signed_with_it_and_nothing_else(tmp_path: Path) -> None:
    keys = read_instance_keys(tmp_path, CONFIGURED)
    assert keys is not None
    assert keys.accepts("", "i-1", b"message", MASTER.sign("i-1", b"message", "k1.5"))
    assert not keys.accepts("k1.5", "i-1", b"message", MASTER.sign("i-1", b"message", "k1"))
    assert not keys.accepts("k1.5", "i-2", b"message", MASTER.sign("i-2", b"message", "k1.5"))
    assert not keys.accepts("k1.5", "i-1", b"another", MASTER.sign("i-1", b"message", "k1.5"))
    assert not keys.accepts("k1.5", "i-1", b"message", b"")


def test_keys_that_replaced_the_configured_one_are_kept_in_the_home(tmp_path: Path) -> None:
    newer = InstanceKeys({"k1.5": KEY, "k2.7": b"n" * 32}, "k2.7", serial=3)
    keep_instance_keys(tmp_path, CONFIGURED, newer)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert read_instance_keys(tmp_path, CONFIGURED) == newer


def test_kept_keys_count_no_more_once_the_credentials_were_made_anew(tmp_path: Path) -> None:
    keep_instance_keys(tmp_path, CONFIGURED, InstanceKeys({"k2.7": b"n" * 32}, "k2.7", serial=3))
    fresh = read_instance_keys(tmp_path, "k3.9:" + "ab" * 32)
    assert fresh is not None
    assert fresh.current == "k3.9"


@pytest.mark.parametrize("bad", ["k1", "k1:", "k1:xyz", "k1:abcd", ":" + "ab" * 31])
def test_a_key_that_is_none_is_refused_without_showing_it(tmp_path: Path, bad: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"security\.instance_key") as refused:
        read_instance_keys(tmp_path, bad)
    assert bad not in str(refused.value)


def test_a_key_file_open_to_others_is_refused_with_the_remedy(tmp_path: Path) -> None:
    keep_instance_keys(tmp_path, "", InstanceKeys({"k1": KEY}, "k1"))
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(SettingsInvalid, match="chmod 600"):
        read_instance_keys(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"current":"k1","keys":{"k1":"\xff"}}',
        b'{"current":"k2","keys":{"k1":"' + b"ab" * 32 + b'"}}',
        b'{"current":"k1","keys":{}}',
    ],
)
def test_a_damaged_key_file_is_refused_by_its_name(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(text)
    (tmp_path / FILE_NAME).chmod(0o600)
    with pytest.raises(SettingsInvalid, match=FILE_NAME):
        read_instance_keys(tmp_path)


def test_keys_are_not_shown_in_a_log(tmp_path: Path) -> None:
    assert KEY.hex() not in repr(read_instance_keys(tmp_path, CONFIGURED))
