from pathlib import Path

import pytest

from cloud_assistant.worker.execution.interpreter import (
    find_program,
    interpreter_arguments,
    launcher_arguments,
    launcher_extension,
    shebang_words,
)
from cloud_assistant.worker.execution.not_started import NotStarted

PATH = "/usr/bin:/bin"


@pytest.mark.parametrize(
    ("first_line", "words"),
    [
        (b"echo 1", []),
        (b"", []),
        (b"#! ", []),
        (b"#!/bin/sh", ["/bin/sh"]),
        (b"#! /bin/sh -e -u", ["/bin/sh", "-e", "-u"]),
        (b"#!/bin/sh -e\r", ["/bin/sh", "-e"]),
        (b"#!/usr/bin/env python3", ["python3"]),
        (b"#!/usr/bin/env python3 -u", ["python3", "-u"]),
        (b"#!/usr/bin/env -S python3 -u -W 'error all'", ["python3", "-u", "-W", "error all"]),
        (b"#!/usr/bin/env -Spython3 -u", ["python3", "-u"]),
        (b"#!/usr/bin/env --split-string=python3 -u", ["python3", "-u"]),
        (b"#!/usr/bin/env -S A=1 python3", ["/usr/bin/env", "A=1", "python3"]),
        (b"#!/usr/bin/env -i sh", ["/usr/bin/env", "-i", "sh"]),
        (b"#!/usr/bin/env", ["/usr/bin/env"]),
        (b"#!/opt/\xff/sh", ["/opt/\udcff/sh"]),
    ],
)
def test_the_words_of_a_first_line(first_line: bytes, words: list[str]) -> None:
    assert shebang_words(first_line + b"\necho 1\n") == words


def test_a_script_without_first_line_runs_in_the_standard_shell() -> None:
    assert interpreter_arguments(b"echo 1", search_path=PATH) == ["/bin/sh"]


def test_an_interpreter_by_name_is_searched_in_the_scripts_own_path(tmp_path: Path) -> None:
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert interpreter_arguments(b"#!/usr/bin/env mine -x", search_path=str(tmp_path)) == [str(program), "-x"]


@pytest.mark.parametrize("line", [b"#!/no/such/interpreter", b"#!/usr/bin/env no-such-interpreter"])
def test_a_missing_interpreter_is_named(line: bytes) -> None:
    with pytest.raises(NotStarted) as refused:
        interpreter_arguments(line, search_path=PATH)
    assert refused.value.error_code == "ExecutionException"
    assert line.split()[-1].removeprefix(b"#!").decode() in refused.value.error_info


def test_a_file_that_may_not_be_executed_is_no_interpreter(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(NotStarted, match="cannot be executed"):
        find_program(str(tmp_path / "data"), PATH, said_by="the test")


def test_a_first_line_with_an_open_quote_is_refused() -> None:
    with pytest.raises(NotStarted, match="cannot be split"):
        shebang_words(b"#!/usr/bin/env -S sh 'open\n")


@pytest.mark.parametrize(
    ("launcher", "arguments"),
    [
        ("/bin/sh", ["/bin/sh", "/s/x.sh"]),
        ("sh -e {{ACS::ScriptFileName}} last", ["/bin/sh", "-e", "/s/x.sh", "last"]),
        ('/bin/sh {{ACS::ScriptFileName|Ext(".py")}}', ["/bin/sh", "/s/x.sh"]),
        ("/bin/sh {{ ACS::ScriptFileName | Ext('.py') }}", ["/bin/sh", "/s/x.sh"]),
        (
            "/bin/sh \"--file={{ACS::ScriptFileName}}\" 'a b' $HOME; ls",
            ["/bin/sh", "--file=/s/x.sh", "a b", "$HOME;", "ls"],
        ),
    ],
)
def test_a_launcher_is_split_into_words_and_never_read_by_a_shell(launcher: str, arguments: list[str]) -> None:
    assert launcher_arguments(launcher, "/s/x.sh", search_path="/bin:/usr/bin") == arguments


def test_a_path_with_blanks_stays_one_word() -> None:
    words = launcher_arguments("/bin/sh {{ACS::ScriptFileName}}", "/s p/'x.sh", search_path=PATH)
    assert words == ["/bin/sh", "/s p/'x.sh"]


@pytest.mark.parametrize(
    ("launcher", "why"),
    [
        ("  ", "blank"),
        ("sh 'open", "cannot be split"),
        ("no-such-program {{ACS::ScriptFileName}}", "no-such-program"),
        ("{{ACS::ScriptFileName}}", "names no program"),
        ("./relative {{ACS::ScriptFileName}}", "absolute path"),
    ],
)
def test_a_useless_launcher_is_refused(launcher: str, why: str) -> None:
    with pytest.raises(NotStarted, match=why):
        launcher_arguments(launcher, "/s/x.sh", search_path=PATH)


@pytest.mark.parametrize("first_line", [b"#!/bin/sh -\0e", b"#!/bin/\0sh", b"#!/usr/bin/env s\0h"])
def test_a_first_line_with_a_nul_byte_is_refused(first_line: bytes) -> None:
    with pytest.raises(NotStarted, match="NUL"):
        interpreter_arguments(first_line + b"\necho\n", search_path=PATH)


@pytest.mark.parametrize(
    ("launcher", "extension"),
    [
        ("sh", ""),
        ("sh {{ACS::ScriptFileName}}", ""),
        ('sh {{ACS::ScriptFileName|Ext(".py")}}', ".py"),
        ('sh {{ACS::ScriptFileName|Ext("py")}}', ".py"),
        ('sh {{ACS::ScriptFileName|Ext(".tar.gz")}}', ".tar.gz"),
    ],
)
def test_the_extension_that_a_launcher_asks_for(launcher: str, extension: str) -> None:
    assert launcher_extension(launcher) == extension


@pytest.mark.parametrize("extension", ["/../../etc/x", "..", ".p y", "." + "x" * 40])
def test_an_extension_that_is_a_path_is_refused(extension: str) -> None:
    with pytest.raises(NotStarted, match="extension"):
        launcher_extension(f'sh {{{{ACS::ScriptFileName|Ext("{extension}")}}}}')
