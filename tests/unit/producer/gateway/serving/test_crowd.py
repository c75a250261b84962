"""That there is no room is told, and not so often that it fills the log."""

import logging

import pytest

from cloud_assistant.producer.gateway.serving.crowd import Crowd


def test_a_line_says_what_came_since_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    moment = [0.0]
    crowd = Crowd(lambda: moment[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            crowd.connection()
            crowd.request()
        moment[0] = 61.0
        crowd.request()
    assert [line.getMessage().partition("; ")[0] for line in caplog.records] == [
        "too crowded: since the last such line connections_ended=1 unfinished_requests_given_up=0",
        "too crowded: since the last such line connections_ended=2 unfinished_requests_given_up=4",
    ]
    (family,) = crowd.collect()
    assert {one.labels["what"]: one.value for one in family.samples} == {"connection": 3, "request": 4}
