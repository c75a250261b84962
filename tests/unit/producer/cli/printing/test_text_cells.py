"""Values as text for people."""

import pytest

from cloud_assistant.broker_config.programs.counted import counted
from cloud_assistant.producer.cli.printing.text_cells import by_state, cut, duration, names_that_fit, pad, width_of


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [
        (0, "0 s"),
        (2, "0.002 s"),
        (99, "0.099 s"),
        (400, "0.4 s"),
        (9_940, "9.9 s"),
        (12_300, "12 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
        (86_400_000, "1 d"),
        (200_000_000, "2 d 7 h"),
        (2_592_000_000, "30 d"),
    ],
)
def test_a_span_of_time_reads_as_people_say_it(span_ms: int, text: str) -> None:
    assert duration(span_ms) == text


def test_chinese_characters_take_two_columns() -> None:
    assert width_of("一台机器") == 8
    assert pad("一", 4) == "一  "
    assert cut("一台机器", 5) == "一台…"


def test_a_text_that_fits_is_not_cut() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "ab…"


def test_some_names_are_shown_and_the_others_counted() -> None:
    names = [f"i-{number}" for number in range(1200)]
    shown = names_that_fit(names, 30)
    assert shown.startswith("i-0, i-1")
    assert shown.endswith(" more")
    assert width_of(shown) <= 30
    hidden = int(shown.rsplit(" and ", 1)[1].removesuffix(" more").replace(",", ""))
    assert hidden + shown.count("i-") == 1200


def test_names_that_all_fit_are_all_shown() -> None:
    assert names_that_fit(["i-a", "i-b"], 8) == "i-a, i-b"
    assert names_that_fit(["i-" + "x" * 60], 10) == "i-" + "x" * 60


def test_counts_are_words() -> None:
    assert counted(1, "instance") == "1 instance"
    assert counted(1200, "instance") == "1,200 instances"
    assert counted(0, "entry is", "entries are") == "0 entries are"
    assert counted(1, "entry is", "entries are") == "1 entry is"
    assert by_state({"Failed": 2, "Success": 98, "Running": 0}) == "98 Success, 2 Failed"
