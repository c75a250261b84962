"""What ``assist run`` refuses about a schedule: in one line, with the API's code, before anything is stored."""

import pytest

from harness.system import System


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--frequency", "0 61 * * * *"], "InvalidParam.Frequency"),
        (["--frequency", "*/5 * * * * *"], "minimum interval 10 s"),
        (["--frequency", "*/30 * * * * *", "--timeout", "60"], "timeout"),
        (["--frequency", "at(2020-01-01 00:00:00)"], "InvalidParam.Frequency"),
        (["--frequency", "0 0 0 30 2 *"], "InvalidParam.Frequency"),
        (["--frequency", "0 0 * * * *", "--timezone", "Mars/Base"], "unknown zone 'Mars/Base'"),
        (["--frequency", "0 0 * * * *", "--end-time", "2020-01-01"], "InvalidParameter.EndTime"),
        (["--repeat-mode", "Period"], "MissingParam.Frequency"),
        (["--overlap", "queue"], "--frequency"),
    ],
)
def test_a_bad_schedule_is_refused_in_one_line(system: System, options: list[str], told: str) -> None:
    system.assist("instance", "add", "i-one").must_succeed()
    outcome = system.assist("run", "true", "--instance", "i-one", *options)
    assert outcome.exit_code == 2
    assert told in outcome.stderr
    assert system.assist("timed", "list", "--output", "json").json == []
