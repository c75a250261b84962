"""Where settings come from, and what is refused."""

import os
from pathlib import Path

import pytest

from cloud_assistant.broker_config import settings
from cloud_assistant.broker_config.errors import SettingsInvalid


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("CLOUD_ASSISTANT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CLOUD_ASSISTANT_HOME", str(tmp_path / "home"))


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[agent]\nslots = 2\ngrace_seconds = 7\n[limits]\nhistory_days = 3\n")
    monkeypatch.setenv("CLOUD_ASSISTANT_AGENT_SLOTS", "3")
    monkeypatch.setenv("CLOUD_ASSISTANT_LIMITS_HISTORY_DAYS", "5.5")
    loaded = settings.load({"agent.slots": 4}, config=str(file))
    assert loaded.settings.agent.slots == 4
    assert loaded.settings.limits.history_days == 5.5
    assert loaded.settings.agent.grace_seconds == 7.0
    assert loaded.sources["agent.slots"] == "command line"
    assert loaded.sources["limits.history_days"] == "environment CLOUD_ASSISTANT_LIMITS_HISTORY_DAYS"
    assert loaded.sources["agent.grace_seconds"] == str(file)


def test_what_assist_up_left_in_home_is_below_all_but_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / settings.LOCAL_FILE).write_text('redis_url = "redis://:pw@127.0.0.1:6399/0"\n')
    assert settings.load().settings.redis_url == "redis://:pw@127.0.0.1:6399/0"
    monkeypatch.setenv("CLOUD_ASSISTANT_REDIS_URL", "redis://elsewhere:1/0")
    assert settings.load().settings.redis_url == "redis://elsewhere:1/0"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[agent]\nslotz = 2\n", "'agent.slotz' is not a setting; did you mean agent.slots"),
        ("[agent]\nslots = 'many'\n", "agent.slots must be a whole number, not 'many'"),
        ("[agent]\nslots = true\n", "agent.slots must be a whole number, not True"),
        ("[agent]\nevents = 1\n", "agent.events must be true or false"),
        ("[limits]\nhistory_days = -1\n", "limits.history_days is -1.0; it must be 0 or more"),
        ("[limits]\nhistory_days = 'nan'\n", "limits.history_days is nan; it must be 0 or more, and finite"),
        ("[limits]\nhistory_count = -1\n", "limits.history_count is -1; it must be 0 or more"),
        (
            "[agent]\noutput_limit_bytes = 268435457\n",
            "output_limit_bytes is 268435457; it may be 268435456 at most: have the script write .* into a file",
        ),
        ("slots = [\n", "settings file"),
        ("redis_url = 'http://x'\n", "scheme 'http' is not known"),
    ],
)
def test_a_bad_file_is_refused_with_name_source_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(SettingsInvalid, match=says):
        settings.load(config=str(file))


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_REDIS_URI", "x")
    with pytest.raises(SettingsInvalid, match="did you mean CLOUD_ASSISTANT_REDIS_URL"):
        settings.load()


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="No such file"):
        settings.load(config=str(tmp_path / "none.toml"))


def test_truth_values_of_the_environment_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_AGENT_EVENTS", "No")
    assert settings.load().settings.agent.events is False


def test_what_is_shown_masks_secrets_and_names_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_REDIS_URL", "redis://u:hunter2@h:1/0")
    monkeypatch.setenv("CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET", "hunter2")
    shown = {one.name: one for one in settings.load().shown()}
    assert "hunter2" not in "".join(one.value for one in shown.values())
    assert shown["redis_url"].value == "redis://u@h:1/0"
    assert shown["agent.slots"].source == "default"
    assert all(one.help.endswith(".") for one in shown.values())


def test_a_childs_environment_has_only_the_settings_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_AGENT_SLOTS", "3")
    monkeypatch.setenv("PATH", "/bin")
    child = settings.child_environment(CLOUD_ASSISTANT_HOME="/x")
    assert child["CLOUD_ASSISTANT_HOME"] == "/x"
    assert child["PATH"] == "/bin"
    assert "CLOUD_ASSISTANT_AGENT_SLOTS" not in child


@pytest.mark.parametrize("text", ["[agent]\nslots = " + "9" * 5000, "x = " + "[" * 100_000], ids=["number", "nesting"])
def test_what_the_reader_of_toml_gives_up_on_is_refused_as_what_is_no_toml(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(SettingsInvalid, match=f"settings file {file}: "):
        settings.load(config=str(file))


def test_a_device_without_an_end_as_configuration_file_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="settings file /dev/full: it has more than 1 MiB"):
        settings.load(config="/dev/full")


def test_a_configuration_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[agent]\r\nslots = 4\r\n")
    assert settings.load(config=str(file)).settings.agent.slots == 4


def test_a_folder_as_configuration_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=f"settings file {tmp_path}: Is a directory"):
        settings.load(config=str(tmp_path))


def test_a_user_without_a_home_is_told_what_to_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    # As in a container that was given a number for its user.
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    assert settings.load().settings.home == str(tmp_path / "home")
    monkeypatch.delenv("CLOUD_ASSISTANT_HOME")
    with pytest.raises(SettingsInvalid, match="no home folder: set HOME, or name the state folder with --home"):
        settings.load()
    with pytest.raises(SettingsInvalid, match=r"no home folder: .* with --config"):
        settings.chosen_file()


def test_a_tilde_in_a_file_is_the_users_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CLOUD_ASSISTANT_HOME")
    file = tmp_path / "config.toml"
    file.write_text('home = "~/state"\n')
    assert settings.load(config=str(file)).settings.home == str(tmp_path / "state")


def test_what_is_written_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert settings.chosen_file() == tmp_path / "config" / "cloud-assistant" / "config.toml"
    monkeypatch.setenv("CLOUD_ASSISTANT_CONFIG", str(tmp_path / "mine.toml"))
    assert settings.chosen_file() == tmp_path / "mine.toml"
    assert settings.chosen_home() == str(tmp_path / "home")


@pytest.mark.parametrize("value", ["", " "])
@pytest.mark.parametrize("name", ["home", "redis_url", "agent.policy_file", "gateway.host", "beat.timezone"])
def test_an_empty_setting_does_not_mean_its_default_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    variable = settings.environment_name(name)
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=f"^environment {variable}: {name} is empty; give it a value"):
        settings.load()
    monkeypatch.delenv(variable)
    file = tmp_path / "config.toml"
    section, _, inner = name.rpartition(".")
    file.write_text(f"[{section}]\n{inner} = '{value}'\n" if section else f"{inner} = '{value}'\n")
    with pytest.raises(SettingsInvalid, match=f": {name} is empty; give it a value, or leave it out"):
        settings.load(config=str(file))


def test_an_empty_setting_means_what_its_help_says_where_that_is_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_GATEWAY_CA_FILE", "")
    monkeypatch.setenv("CLOUD_ASSISTANT_INSTANCE_ID", "")
    assert settings.load().settings.gateway.ca_file == ""


def test_an_empty_name_of_the_settings_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_CONFIG", "")
    for ask in (settings.load, settings.chosen_file):
        with pytest.raises(SettingsInvalid, match=r"^environment variable CLOUD_ASSISTANT_CONFIG is empty"):
            ask()


def test_an_empty_home_is_refused_where_no_settings_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_HOME", "")
    with pytest.raises(SettingsInvalid, match=r"^environment variable CLOUD_ASSISTANT_HOME is empty"):
        settings.chosen_home()
