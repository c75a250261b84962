"""Large answers are made a few at a time, small ones always."""

import pytest

from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.large_answers import LargeAnswers


def has_room(answers: LargeAnswers, row_count: int) -> bool:
    try:
        with answers.room_for(row_count):
            return True
    except ApiError:
        return False


def test_there_is_room_for_so_many_rows_at_once_and_small_answers_need_none() -> None:
    answers = LargeAnswers(100, large_rows_count=10)
    with answers.room_for(60), answers.room_for(9), answers.room_for(40):
        assert has_room(answers, 9)
        assert not has_room(answers, 10)
    assert has_room(answers, 100)


def test_an_answer_that_is_larger_than_the_room_is_made_when_there_is_no_other() -> None:
    answers = LargeAnswers(100, large_rows_count=10)
    with answers.room_for(500):
        assert not has_room(answers, 10)
    with answers.room_for(10):
        assert not has_room(answers, 500)
    assert has_room(answers, 500)


def test_an_answer_that_fails_gives_its_room_back() -> None:
    answers = LargeAnswers(100, large_rows_count=10)
    with pytest.raises(RuntimeError), answers.room_for(100):
        raise RuntimeError
    assert has_room(answers, 100)


def test_who_finds_no_room_is_told_to_come_back() -> None:
    answers = LargeAnswers(100, large_rows_count=10)
    with answers.room_for(100), pytest.raises(ApiError, match="60 results") as caught, answers.room_for(60):
        pass
    assert (caught.value.code, caught.value.http_status) == ("ServiceUnavailable", 503)
    assert caught.value.retry_after_seconds == 5
