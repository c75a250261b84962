"""Many results, told by what is different from the output that most of them have."""

import pytest
from unit.producer.cli.rows import row

from cloud_assistant.broker_config.results import ExecutionRow
from cloud_assistant.broker_config.states import ExecutionState as S
from cloud_assistant.producer.cli.printing import result_comparison
from cloud_assistant.producer.cli.printing.result_comparison import compared

USUAL = b"name web\nnginx 1.26\nopenssl 3.0\n"


def fleet(*others: ExecutionRow) -> list[ExecutionRow]:
    return [row(f"i-{number}", output=USUAL) for number in range(3)] + list(others)


def test_the_commonest_output_is_whole_and_of_others_the_lines_that_differ() -> None:
    old = row("i-old", output=USUAL.replace(b"1.26", b"1.18"))
    assert list(compared(fleet(old))) == [
        "3 instances: Success exit 0",
        "  i-0, i-1, i-2",
        "    name web",
        "    nginx 1.26",
        "    openssl 3.0",
        "",
        "1 instance: Success exit 0",
        "  i-old",
        "    @@ -1,3 +1,3 @@",
        "     name web",
        "    -nginx 1.26",
        "    +nginx 1.18",
        "     openssl 3.0",
    ]


def test_the_commonest_stands_first_though_it_is_that_of_failures() -> None:
    broken = [row(f"i-bad{number}", S.FAILED, exit_code=3, output=b"no\n") for number in range(4)]
    lines = list(compared([row("i-good", output=b"yes\n"), *broken]))
    assert lines[0] == "4 instances: Failed exit 3"
    assert lines[-2:] == ["    -no", "    +yes"]


def test_one_that_says_the_same_and_ends_otherwise_is_told_so() -> None:
    lines = list(compared(fleet(row("i-bad", S.FAILED, exit_code=1, output=USUAL))))
    assert lines[-3:] == ["1 instance: Failed exit 1", "  i-bad", "    (the same output)"]


def test_what_has_not_run_counts_for_nothing_and_is_no_difference() -> None:
    lost = [row(f"i-lost{number}", S.ABORTED, exit_code=None, error_code="ClientNotRunning") for number in range(9)]
    lines = list(compared([*lost, *fleet()]))
    assert lines[0] == "3 instances: Success exit 0"
    assert lines[-2] == "9 instances: Aborted (ClientNotRunning)"
    assert not [line for line in lines if line.startswith("    -")]


def test_nothing_at_all_has_run() -> None:
    lost = row("i-lost", S.ABORTED, exit_code=None, error_code="ClientNotRunning")
    assert next(compared([lost, lost])) == "2 instances: Aborted (ClientNotRunning)"
    assert list(compared([])) == []


def test_outputs_too_long_to_compare_are_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_comparison, "_MOST_LINES_COUNT", 5)
    lines = list(compared(fleet(row("i-old", output=USUAL + b"more\n"))))
    assert lines[-4:] == ["    name web", "    nginx 1.26", "    openssl 3.0", "    more"]
