"""What ``assist run`` refuses about a schedule: in one line, with the API's code, before anything is stored."""

import pytest

from harness.system import System


def invocation_count(system: System) -> int:
    """How many are stored, timed or not."""
    with system.operator() as operator:
        return operator.describe_invocations().total_count


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--frequency", "0 61 * * * *"], "InvalidParam.Frequency"),
        (["--frequency", "*/5 * * * * *"], "minimum interval 10 s"),
        (["--frequency", "*/30 * * * * *", "--timeout", "60"], "timeout"),
        (["--frequency", "*/5 * * * * *", "--timeout", "10"], "(minimum interval 10 s); let it be due less often"),
        (
            ["--frequency", "0 * * * * *", "--jitter", "5m"],
            "jitter 300 s); let it be due less often, or lower the jitter",
        ),
        (["--frequency", "at(2020-01-01 00:00:00)"], "InvalidParam.Frequency"),
        (["--frequency", "0 0 0 30 2 *"], "InvalidParam.Frequency"),
        (["--frequency", "0 0 * * * *", "--timezone", "Mars/Base"], "unknown zone 'Mars/Base'"),
        (["--frequency", "0 0 * * * *", "--end-time", "2020-01-01"], "InvalidParameter.EndTime"),
        (["--repeat-mode", "Period"], "MissingParam.Frequency"),
        (["--overlap", "queue"], "--frequency"),
        (["--repeat-mode", "EveryReboot", "--frequency", "0 0 * * * *"], "--repeat-mode EveryReboot"),
        (["--repeat-mode", "Once", "--frequency", "0 0 * * * *"], "--repeat-mode Once"),
    ],
)
def test_a_bad_schedule_is_refused_in_one_line(system: System, options: list[str], told: str) -> None:
    system.register("i-one")
    outcome = system.assist("run", "true", "--instance", "i-one", *options)
    assert outcome.exit_code == 2
    assert told in outcome.stderr
    assert invocation_count(system) == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--dry-run", "--frequency", "0 0 * * * *"],
        ["--dry-run", "--repeat-mode", "Once"],
        ["--dry-run", "--repeat-mode", "EveryReboot"],
        ["--repeat-mode", "DryRun", "--frequency", "0 0 * * * *"],
    ],
)
def test_a_dry_run_that_would_run_is_refused(system: System, options: list[str]) -> None:
    system.register("i-one")
    outcome = system.assist("run", "true", "--all", *options)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "does not go with" in outcome.stderr
    assert invocation_count(system) == 0


@pytest.mark.parametrize("frequency", ["", "  "])
def test_an_empty_frequency_does_not_mean_now(system: System, frequency: str) -> None:
    system.register("i-one")
    outcome = system.assist("run", "true", "--all", "--frequency", frequency)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "empty" in outcome.stderr
    assert invocation_count(system) == 0


@pytest.mark.parametrize("option", ["--end-time", "--timezone"])
def test_an_unset_end_or_zone_is_not_taken_for_none(system: System, option: str) -> None:
    system.register("i-one")
    daily = ("--frequency", "0 0 3 * * *")
    made = system.assist("run", "true", "--all", *daily).must_succeed().stdout.strip()
    verbs = (["run", "true", "--all", *daily], ["timed", "preview", daily[1]], ["timed", "modify", made])
    for verb in verbs:
        outcome = system.assist(*verb, option, "")
        assert (outcome.exit_code, outcome.stdout) == (2, "")
        assert f"'{option}': it is empty" in outcome.stderr
    assert invocation_count(system) == 1


@pytest.mark.parametrize(
    "option", [("--timezone", "Asia/Shanghai"), ("--end-time", "2090-01-01"), ("--dst-gap", "skip")]
)
def test_a_preview_of_what_is_stored_takes_no_other_schedule(system: System, option: tuple[str, str]) -> None:
    system.register("i-one")
    made = system.assist("run", "true", "--all", "--frequency", "0 0 3 * * *").must_succeed().stdout.strip()
    outcome = system.assist("timed", "preview", made, *option)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "only --from and --count" in outcome.stderr
    system.assist("timed", "preview", made, "--from", "2090-01-01", "--count", "1").must_succeed()


@pytest.mark.parametrize("frequency", ["0 0 4 * * * Asia/Shanghai", "at(2090-01-01 00:00:00)"])
def test_a_zone_that_would_not_be_used_is_refused(system: System, frequency: str) -> None:
    system.register("i-one")
    for verb in (["run", "true", "--all", "--frequency", frequency], ["timed", "preview", frequency]):
        outcome = system.assist(*verb, "--timezone", "Europe/Berlin")
        assert outcome.exit_code == 2
        assert "Europe/Berlin" in outcome.stderr
    made = system.assist("run", "true", "--all", "--frequency", "0 0 4 * * * Asia/Shanghai").must_succeed()
    changed = system.assist("timed", "modify", made.stdout.strip(), "--timezone", "Europe/Berlin")
    assert changed.exit_code == 2
    both = ("--frequency", "0 0 4 * * *", "--timezone", "Europe/Berlin")
    system.assist("timed", "modify", made.stdout.strip(), *both).must_succeed()
    # A zone of the frequency's own again, without a word about the zone.
    system.assist("timed", "modify", made.stdout.strip(), "--frequency", "0 0 5 * * * Asia/Tokyo").must_succeed()
    shown = system.assist("timed", "show", made.stdout.strip(), "--output", "json").must_succeed().json
    assert shown["TimeZone"] == "Asia/Tokyo"
