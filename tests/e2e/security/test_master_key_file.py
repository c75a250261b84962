"""A master key file that the settings name: nothing takes its place in silence, and one command makes it."""

from pathlib import Path

import pytest

from .conftest import SecureSystem

pytestmark = pytest.mark.slow


@pytest.fixture
def file(secure: SecureSystem, tmp_path: Path) -> Path:
    file = tmp_path / "secrets" / "key.json"
    secure.environment["CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE"] = str(file)
    return file


def test_the_named_file_is_made_once_and_when_it_is_lost_no_other_takes_its_place(
    secure: SecureSystem, file: Path
) -> None:
    refused = secure.assist("instance", "add", "i-one")
    assert (refused.exit_code, file.exists()) == (2, False)
    assert f"master key file {file} does not exist" in refused.stderr
    assert "make the first one of an installation: assist key create" in refused.stderr

    made = secure.assist("key", "create", "--output", "json").must_succeed().json
    assert (made["KeyId"], made["File"], file.stat().st_mode & 0o777) == ("k1", str(file), 0o600)
    assert secure.assist("key", "create", "--output", "json").must_succeed().json == made
    entries = secure.assist("audit", "list", "--output", "json").must_succeed().json
    assert [one["Action"] for one in entries] == ["CreateMasterKey", "CreateMasterKey"], "begun and done"

    file.rename(file.with_name("elsewhere"))
    refused = secure.assist("key", "create")
    assert (refused.exit_code, file.exists()) != (0, True)
    assert "whose master key (k1) is not in" in refused.stderr


def test_a_named_file_that_cannot_be_made_is_told(secure: SecureSystem, file: Path) -> None:
    file.parent.write_text("not a folder")
    refused = secure.assist("key", "create")
    assert refused.exit_code == 4
    assert f"cannot use {file.parent}: File exists; name a file that you may read or write" in refused.stderr


def test_a_beat_without_the_master_key_of_an_installation_that_signs_says_so(secure: SecureSystem) -> None:
    text = "this installation signs, and no master key is here"
    first = secure.start_beat("first")
    assert text not in first.log(), "nothing is signed yet"
    made = secure.assist("key", "create", "--output", "json").must_succeed().json
    assert text in secure.start_beat("without").log()
    with_key = secure.start_beat("with", environment={"CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": made["File"]})
    assert text not in with_key.log()
