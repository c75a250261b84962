"""Where credentials are to be written is looked at before anything is taken away."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.cli.program import run
from harness.disk import fill, small_disk


@pytest.mark.parametrize("name", ["no-such-folder/new.toml", "folder"])
def test_a_file_that_cannot_be_written_leaves_the_old_credentials_good(
    name: str,
    assistant: Assistant,
    connect: Callable[[str], Redis],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    assistant.add_instance("i-1")
    agent = connect(assistant.trust.issue_credentials("i-1").credentials.redis_url)
    agent.call("PING")
    settings = assistant.settings
    shared = ["--redis-url", settings.redis_url, "--home", settings.home]
    # An argument of type "file" is refused by the parser where it is a folder.
    assert run(["instance", "rotate", "i-1", "--credentials", str(tmp_path / name), *shared]) in (2, 4)
    assert name.split("/")[0] in capsys.readouterr().err
    agent.call("PING")
    agent.close()
    agent.call("PING")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".new")) == []


def test_a_full_disk_leaves_the_old_credentials_good(
    assistant: Assistant, connect: Callable[[str], Redis], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assistant.add_instance("i-1")
    agent = connect(assistant.trust.issue_credentials("i-1").credentials.redis_url)
    agent.call("PING")
    shared = ["--redis-url", assistant.settings.redis_url, "--home", assistant.settings.home]
    with small_disk(tmp_path / "disk", 1024 * 1024) as disk:
        # An empty file still goes on it.
        ballast = fill(disk)
        assert run(["instance", "rotate", "i-1", "--credentials", str(disk / "new.toml"), *shared]) == 4
        assert "No space left" in capsys.readouterr().err
        assert list(disk.iterdir()) == [ballast]
    agent.close()
    agent.call("PING")


def test_credentials_are_written_and_nothing_else_is_left(assistant: Assistant, tmp_path: Path) -> None:
    assistant.add_instance("i-1")
    settings = assistant.settings
    folder = tmp_path / "folder"
    folder.mkdir()
    shared = ["--redis-url", settings.redis_url, "--home", settings.home]
    assert run(["instance", "rotate", "i-1", "--credentials", str(folder / "new.toml"), *shared]) == 0
    assert [path.name for path in folder.iterdir()] == ["new.toml"]
    assert (folder / "new.toml").stat().st_mode & 0o777 == 0o600


def test_what_is_no_ordinary_file_stays_what_it_is(
    assistant: Assistant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = assistant.settings
    shared = ["--redis-url", settings.redis_url, "--home", settings.home]
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    (tmp_path / "target").write_text("as before")
    link.symlink_to("target")
    for path in (pipe, link):
        assert run(["instance", "add", "i-1", "--credentials", str(path), *shared]) == 4
        assert f"{path} cannot be written: it is not an ordinary file; name one" in capsys.readouterr().err
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "as before"


def test_what_to_run_on_the_machine_is_told_as_a_shell_takes_it(
    assistant: Assistant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["--redis-url", assistant.settings.redis_url, "--home", assistant.settings.home]
    file = tmp_path / "i one's.toml"
    assert run(["instance", "add", "i-1", "--credentials", str(file), *shared]) == 0
    command = capsys.readouterr().err.partition("run: ")[2].splitlines()[0]
    assert shlex.split(command) == ["assist-agent", "run", "--config", file.name]
