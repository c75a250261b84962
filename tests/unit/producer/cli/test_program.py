"""The command line as a whole: its table, its helps, its wrong usages. No server is needed for any of it."""

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from cloud_assistant.producer import cli
from cloud_assistant.producer.cli import exit_codes, main, program
from cloud_assistant.producer.cli.assist_command import AssistCommand
from cloud_assistant.producer.cli.command_table import ROWS
from cloud_assistant.producer.cli.program import root
from harness.processes import installed_program


def leaves(
    command: click.Command = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from leaves(found, (*path, name))


LEAVES = dict(leaves())
OURS = {path: command for path, command in LEAVES.items() if isinstance(command, AssistCommand)}


def test_every_row_of_the_table_leads_to_a_command() -> None:
    assert {path[0] for path in LEAVES} == set(ROWS)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_help_tells_what_the_command_does_and_ends_with_examples(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert LEAVES[path].help
    last_section = text.split("\n\n")[-1]
    assert "xamples:" in last_section
    assert f"assist {' '.join(path)}" in last_section


@pytest.mark.parametrize("noun", sorted({path[0] for path in OURS if len(path) > 1}))
def test_the_help_of_a_noun_cuts_no_verb_short(
    noun: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(root.context_settings, "terminal_width", 80)
    assert main([noun, "--help"]) == 0
    verbs = capsys.readouterr().out.partition("Commands:")[2].partition("Options:")[0]
    assert "..." not in verbs


@pytest.mark.parametrize("path", OURS, ids=" ".join)
def test_each_option_is_explained(path: tuple[str, ...]) -> None:
    for parameter in OURS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("path", OURS, ids=" ".join)
def test_each_command_takes_the_options_of_every_command(path: tuple[str, ...]) -> None:
    names = {option for parameter in OURS[path].params for option in parameter.opts}
    assert {"--output", "--redis-url", "--home", "--config", "--debug"} <= names


def test_no_help_line_is_wider_than_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for path in OURS:
        main([*path, "--help"])
    described = [line for line in capsys.readouterr().out.splitlines() if " assist " not in line]
    assert max(map(len, described)) <= 100


def test_the_help_is_the_same_with_and_without_click(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main(["--debug", "--help"]) == 0
    first, second = capsys.readouterr().out.split("Usage: ")[1:]
    assert first == second
    assert all(f"  {name} " in first for name in ROWS)
    assert max(map(len, first.splitlines())) <= 80


def imported_by(*arguments: str) -> set[str]:
    """The top-level modules that a call of ``assist`` imports."""
    code = (
        f"import sys; from cloud_assistant.producer.cli import main; main({list(arguments)}); "
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout
    return set(outcome.stderr.split())


HEAVY = {"redis", "celery", "kombu", "asyncio", "uvicorn", "starlette", "croniter", "cryptography"}


def test_the_help_imports_nothing_heavy() -> None:
    assert not imported_by("--help") & (HEAVY | {"click", "hiredis", "msgspec", "ssl"})


@pytest.mark.parametrize("arguments", [("run", "--help"), ("command", "--help"), ("invocation", "--help")])
def test_a_command_imports_no_redis_client_but_ours_and_nothing_of_celery(arguments: tuple[str, ...]) -> None:
    assert not imported_by(*arguments) & HEAVY


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["instanc"], "did you mean instance?"),
        (["command", "crate"], "did you mean create?"),
        (["qqq"], "see `assist --help`"),
        (["run", "x", "--nope"], "--nope"),
        (["run", "--all"], "give the script once"),
        (["run", "x", "--file", "y", "--all"], "give the script once"),
        (["run", "--file", "/nowhere/script.sh", "--all"], "cannot read /nowhere/script.sh: No such file"),
        (["run", "x", "--all", "--type", "Foo"], "'Foo' is not one of 'RunShellScript'"),
        (["run", "x", "--all", "--timeout", "soon"], "'soon' is not a time"),
        (["run", "x", "--all", "--timeout", "0.2"], "at least one second"),
        (["key", "rotate", "--wait", "nan"], "'nan' is not a time"),
        (["run", "x", "--all", "--parameter", "WHO"], "'WHO' is not key=value"),
        (["run", "x", "--all", "--parameter", "A=1", "--parameter", "A=2"], "'A' is given twice"),
        (["run", "x", "--all", "--output", "xml"], "'xml' is not one of"),
        (["command", "create", "x"], "missing option '--name'"),
        (["command", "list", "--limit", "5000"], "1<=x<=1000"),
        (["command", "modify", "c-1"], "at least one option; see `assist command modify --help`"),
        (["invocation", "results"], "missing argument 'ID'"),
        (["invocation", "list", "--status", "Fine"], "'Fine' is not one of"),
        (["instance", "tag", "i-1"], "missing argument"),
        (["instance", "list", "--tag"], "see `assist instance list --help`"),
        (["instance", "--output"], "see `assist instance --help`"),
        (["instance", "tag", "i-1", "bare"], "'bare' is not key=value"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("assist: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


#: Where an empty text means something, or is refused by the API's own code.
NAMELESS = {("instance", "rename"), ("ecs",), ("run",), ("command", "create")}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, command in OURS.items()
        if path not in NAMELESS and any(isinstance(one, click.Argument) for one in command.params)
    ],
    ids=" ".join,
)
def test_an_empty_id_or_name_is_refused_before_it_means_any(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    count = sum(isinstance(one, click.Argument) for one in OURS[path].params)
    options = [
        word
        for one in OURS[path].params
        if isinstance(one, click.Option) and one.required
        for word in (one.opts[-1], "x")
    ]
    assert main([*path, *options, *["a=b"] * (count - 1), ""]) == exit_codes.WRONG_USAGE
    said = capsys.readouterr().err
    assert any(words in said for words in ("empty", "does not exist", "not key=value", "'' is not one of"))
    assert said.count("\n") == 1


@pytest.mark.parametrize("option", ["--share", "--stop-at"])
@pytest.mark.parametrize("text", ["3", "ten", "nan%", "-5%", "%", ""])
def test_a_share_of_a_roll_out_is_no_number_of_instances(
    option: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["agent-version", "rollout", "1.2.0", option, text]) == exit_codes.WRONG_USAGE
    assert f"{text!r} is not a share of the instances such as 10%" in capsys.readouterr().err


@pytest.mark.parametrize("wish", ["--pause", "--resume", "--cancel"])
@pytest.mark.parametrize(
    "other", [["--share", "50%"], ["--stop-at", "10%"], ["--again"], ["--tag", "env=test"], ["--all"]]
)
def test_a_roll_out_is_not_changed_by_the_way(wish: str, other: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent-version", "rollout", "1.2.0", wish, *other]) == exit_codes.WRONG_USAGE
    assert "--pause, --resume and --cancel change nothing else" in capsys.readouterr().err


@pytest.mark.parametrize("blank", ["", " "])
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "true", "--all", "--user"],
        ["run", "true", "--all", "--client-token"],
        ["run", "true", "--all", "--frequency", "rate(1 h)", "--end-time"],
        ["invoke", "c-1", "--all", "--user"],
        ["invoke", "c-1", "--all", "--client-token"],
        ["command", "create", "true", "--name", "x", "--user"],
        ["file", "send", "x", "--to", "/tmp", "--all", "--owner"],
        ["activation", "create", "--address-range"],
        ["agent-version", "rollout", "1.2.0", "--window"],
        ["package", "install", "tools", "--all", "--version"],
        ["package", "update", "tools", "--all", "--version"],
        ["invocation", "list", "--instance"],
        ["invocation", "list", "--command"],
        ["file", "list", "--instance"],
        ["access-key", "create", "--name"],
        ["run", "true", "--all", "--redis-url"],
        ["--home", " ", "instance", "list", "--home"],
        ["instance", "list", "--config"],
        ["audit", "list", "--who"],
        ["audit", "list", "--action"],
        ["timed", "preview", "0 0 0 * * *", "--from"],
        ["run", "true", "--instance"],
        ["invocation", "stop", "t-1", "--instance"],
        ["invocation", "results", "t-1", "--history", "--instance"],
        ["timed", "stop", "t-1", "--instance"],
        ["timed", "modify", "t-1", "--instance"],
        ["instance", "list", "--name"],
        ["invocation", "list", "--name"],
        ["command", "list", "--name"],
        ["command", "list", "--description"],
        ["activation", "list", "--name-prefix"],
    ],
    ids=lambda arguments: " ".join(arguments[:2] + arguments[-1:]) if isinstance(arguments, list) else None,
)
def test_an_empty_value_is_refused_where_none_at_all_means_more(
    arguments: list[str], blank: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, blank]) == exit_codes.WRONG_USAGE
    assert "it is empty, as an unset variable leaves it; give a value, or leave the option out" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--all", "--file"],
        ["command", "create", "--name", "x", "--file"],
        ["timed", "modify", "t-1", "--file"],
        ["command", "sign", "x", "--key"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_the_name_of_a_file_that_is_empty_is_said_to_be_empty(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, ""]) == exit_codes.WRONG_USAGE
    assert "the name of the file is empty, as an unset variable leaves it; give a value" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--file", "/dev/zero", "--all"],
        ["command", "create", "--name", "x", "--file", "/dev/zero"],
        ["command", "sign", "--key", "/dev/zero", "/dev/null"],
        ["timed", "modify", "t-x", "--file", "/dev/zero"],
        ["file", "send", "/dev/zero", "--to", "/tmp", "--all"],
        ["run", "true", "--all", "--secret-parameter", "TOKEN=@/dev/zero"],
    ],
)
def test_a_file_without_end_is_refused_before_it_fills_the_memory(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setenv("CLOUD_ASSISTANT_REDIS_URL", "redis://127.0.0.1:1/0")
    resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, limits[1]))
    try:
        assert main(arguments) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert "/dev/zero has more than 16 MiB" in capsys.readouterr().err


def test_ctrl_c_is_told_also_while_the_program_still_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "run", interrupted)
    assert main(["instance", "list"]) == exit_codes.INTERRUPTED
    assert capsys.readouterr().err == "assist: interrupted (Interrupted)\n"


def test_next_to_nothing_is_imported_before_ctrl_c_is_told_in_one_line() -> None:
    code = (
        "import io, os, re, sys; before = set(sys.modules); import cloud_assistant.producer.cli;"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('cloud_assistant')))"
    )
    outcome = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(outcome.stdout)) <= {"collections.abc"}


def test_ctrl_c_is_told_also_before_the_streams_are_ready(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "prepare_streams", interrupted)
    assert main(["--help"]) == exit_codes.INTERRUPTED
    assert capsys.readouterr().err == "assist: interrupted (Interrupted)\n"


@pytest.mark.parametrize("arguments", [[], ["command"], ["invocation"]])
def test_a_noun_without_a_verb_shows_its_help_as_talk(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Commands:" in captured.err


def test_a_wrong_setting_names_where_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--redis-url", "http://x"]) == 2
    assert "scheme 'http' is not known" in capsys.readouterr().err
    assert main(["--config", "/nowhere.toml", "config", "show"]) == 2
    assert "/nowhere.toml" in capsys.readouterr().err


def test_an_option_of_every_command_counts_before_and_after_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--output", "json", "version"],
        ["version", "--output", "json"],
        ["--output", "text", "version", "--output", "json"],
    ):
        assert main(arguments) == 0
        assert capsys.readouterr().out.startswith("{")


def test_what_stands_before_a_verb_reaches_a_verb_with_options_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--home", "/proc/no-home", "up"]) == 2
    assert "home /proc/no-home" in capsys.readouterr().err


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.startswith("assist ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["invoke"], "at least 10 s; less counts as 10. [default: the stored command's, else 60]"),
        (["timed", "modify"], "What is not given stays as it is; the defaults shown here are those of a new one."),
        (["publisher", "sign"], "[default: security.publisher_key_file, else publisher-key.pem in the home]"),
        (["publisher", "key", "show"], "[default: security.publisher_key_file, else publisher-key.pem in the home]"),
    ],
)
def test_the_help_says_what_holds_where_an_option_is_left_out(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--help"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_what_it_completes_words_with(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ASSIST_COMPLETE", f"{shell}_source")
    outcome = subprocess.run([installed_program("assist")], capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert f"_ASSIST_COMPLETE={shell}_complete" in outcome.stdout


def test_words_are_completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("_ASSIST_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "assist run --ti")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == ["plain,--timeout", "plain,--timezone"]
