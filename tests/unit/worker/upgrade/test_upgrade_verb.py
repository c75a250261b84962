"""What ``assist-agent upgrade`` takes."""

import pytest
from click.testing import CliRunner

from cloud_assistant.worker.cli import main


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-5", "86401"])
def test_a_trial_has_an_end_that_comes(seconds: str) -> None:
    outcome = CliRunner().invoke(main, ["upgrade", "--version", "1.0.0", f"--probation={seconds}"])
    assert (outcome.exit_code, "--probation takes 1 to 86400 seconds" in outcome.output) == (2, True), outcome.output
