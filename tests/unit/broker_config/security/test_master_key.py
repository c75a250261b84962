"""Where the master key is, and what is said where that cannot be told."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.broker_config.security.master_key import find_master_keys
from cloud_assistant.broker_config.settings_table import SecuritySettings, Settings


def test_a_home_that_cannot_be_looked_into_is_told_from_one_without_a_key(tmp_path: Path) -> None:
    assert find_master_keys(Settings(home=str(tmp_path / "absent"))) is None
    # As one that belongs to somebody else, for root too.
    with pytest.raises(SettingsInvalid, match=r"master-key\.json: File name too long; run this as the user of"):
        find_master_keys(Settings(home=str(tmp_path / ("x" * 300))))


def test_a_file_that_is_named_and_missing_is_no_installation_without_a_key(tmp_path: Path) -> None:
    security = SecuritySettings(master_key_file=str(tmp_path / "absent.json"))
    with pytest.raises(SettingsInvalid, match=r"absent\.json does not exist; copy it here .*: assist key create"):
        find_master_keys(Settings(home=str(tmp_path), security=security))
