"""The words that both doctors speak."""

import json

import pytest

from cloud_assistant.broker_config.programs.findings import (
    Finding,
    Verdict,
    as_json,
    as_text,
    exit_code,
    fail,
    ok,
    skip,
    warn,
)

FINE = ok("disk", "plenty")
POOR = warn("home", "open to others", "chmod 0700 it")
BAD = fail("program users", "may do more", "set them anew")
CUT_OFF = fail("redis", "does not answer", "start it")
LEFT = skip("clock", "needs redis")


def test_a_finding_is_a_line_and_its_remedy_a_second_one_below_the_text() -> None:
    assert as_text(FINE) == "ok    disk           plenty"
    finding, remedy = as_text(BAD).splitlines()
    assert finding == "fail  program users  may do more"
    assert remedy.index("mend: set them anew") == finding.index("may do more")


def test_text_from_elsewhere_stays_on_its_line() -> None:
    assert as_text(ok("instance", "web\x1b[2J\nfail  redis")) == "ok    instance       web\\x1b[2J\\nfail  redis"
    assert "\x9b" not in as_json([ok("instance", "web\x9b2J")]), "which a terminal obeys, and JSON may hold"


@pytest.mark.parametrize(
    ("findings", "worst"),
    [([FINE], "ok"), ([FINE, LEFT], "ok"), ([POOR, FINE], "warn"), ([FINE, BAD, POOR], "fail")],
)
def test_programs_get_the_worst_verdict_and_every_finding(findings: list[Finding], worst: str) -> None:
    shown = json.loads(as_json(findings))
    assert shown["Verdict"] == worst
    assert [Finding(one["Check"], Verdict(one["Verdict"]), one["Text"], one["Mend"]) for one in shown["Findings"]] == (
        findings
    )


@pytest.mark.parametrize(
    ("findings", "code"), [([], 0), ([FINE, POOR, LEFT], 0), ([FINE, BAD], 4), ([CUT_OFF], 3), ([BAD, CUT_OFF], 3)]
)
def test_the_exit_code_says_whether_redis_was_reached(findings: list[Finding], code: int) -> None:
    assert exit_code(findings, ["redis"]) == code
