"""The identity of an instance is put into its settings file, and nothing else in it is touched."""

import tomllib
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.worker.registration.settings_file import registered_instance, write_identity

GIVEN = {"redis_url": 'redis://u:p"\\@h/0', "instance_id": "mi-1", "security.instance_key": "k1:ab"}


def written(path: Path, before: str | None = None) -> dict[str, object]:
    """The file's settings after the identity was put in."""
    if before is not None:
        path.write_text(before)
    write_identity(path, GIVEN, heading="ours")
    return tomllib.loads(path.read_text())


def test_a_new_file_holds_the_identity_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "config.toml"
    parsed = written(path)
    assert parsed == {
        "redis_url": GIVEN["redis_url"],
        "instance_id": "mi-1",
        "security": {"instance_key": "k1:ab"},
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("# ours\n")
    assert registered_instance(path) == "mi-1"


def test_what_a_person_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    before = (
        "# by hand\nhome = '/srv'\n\n[agent]\nslots = 3  # few\n\n[security] # keys\nmaster_key_file = 'm'\n[beat]\n"
    )
    parsed = written(path, before)
    assert parsed["home"] == "/srv"
    assert parsed["agent"] == {"slots": 3}
    assert parsed["security"] == {"instance_key": "k1:ab", "master_key_file": "m"}
    assert "# by hand" in path.read_text()
    assert "slots = 3  # few" in path.read_text()


def test_a_file_may_begin_with_the_mark_that_editors_of_windows_write(tmp_path: Path) -> None:
    assert written(tmp_path / "config.toml", "\ufeffhome = '/srv'\n")["home"] == "/srv"


def test_an_earlier_identity_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    written(path, "instance_id = 'i-old'\n[security]\ninstance_key = 'k0:00'\n")
    once = path.read_text()
    written(path)
    assert path.read_text() == once
    assert once.count("instance_id") == once.count("instance_key") == 1


def test_the_same_name_in_another_section_is_another_setting(tmp_path: Path) -> None:
    parsed = written(tmp_path / "config.toml", "[security]\n[mine]\ninstance_key = 'x'\n")
    assert (parsed["security"], parsed["mine"]) == ({"instance_key": "k1:ab"}, {"instance_key": "x"})


@pytest.mark.parametrize(
    ("before", "problem"),
    [
        (b"not toml", "is not TOML"),
        (b"home = '/h\xfcm'\n", "cannot be read"),
        (b"security = { instance_key = 'x' }\n", "sets security.instance_key in a form"),
        (b"security = 'tight'\n", "sets security.instance_key in a form"),
        (b"[security]\n'instance_key' = 'x'\n", "sets security.instance_key in a form"),
        (b'home = """\ninstance_id = 1\n"""\n', "sets instance_id in a form"),
    ],
)
def test_a_file_that_cannot_be_changed_safely_is_left_alone(tmp_path: Path, before: bytes, problem: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(before)
    with pytest.raises(SettingsInvalid, match=f"{path} {problem}"):
        written(path)
    assert path.read_bytes() == before


def test_a_file_without_a_key_belongs_to_no_instance(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for security in ("", "security = 'tight'\n", "[security]\nmaster_key_file = 'm'\n"):
        path.write_text(f"instance_id = 'i-1'\n{security}")
        assert registered_instance(path) == ""


@pytest.mark.parametrize("value", ["/etc/\U0001f600.pem", "a\x7fb", "a\u2028b\x85c", 'tab\tquote"back\\slash\0', "è"])
def test_any_text_can_be_a_value_and_stand_in_what_is_there(tmp_path: Path, value: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text("# of \u2028 mine\nname = 'x\u2028y\x85'\nca = 'old'\n", encoding="utf-8")
    for _ in range(2):
        write_identity(path, {"ca": value, "security.key": value}, heading="ours")
    text = path.read_text(encoding="utf-8")
    assert tomllib.loads(text) == {"name": "x\u2028y\x85", "ca": value, "security": {"key": value}}
    assert "# of \u2028 mine\n" in text
    assert text.count("\n") == 7


def test_bytes_that_are_no_text_are_refused_and_what_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("ca = 'old'\n")
    with pytest.raises(SettingsInvalid, match="ca holds bytes that are not UTF-8"):
        write_identity(path, {"ca": "/etc/\udcff.pem"}, heading="ours")
    assert path.read_text() == "ca = 'old'\n"
