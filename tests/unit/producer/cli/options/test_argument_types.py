"""Times and pairs as people type them."""

import click
import pytest

from cloud_assistant.producer.cli.options.argument_types import Duration, Pair, mapping


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [("90", 90), ("0.5", 0.5), ("10m", 600), ("2h", 7200), ("30d", 2_592_000), ("45s", 45), ("1.5h", 5400)],
)
def test_a_time_is_seconds_or_a_number_with_its_unit(typed: str, seconds: float) -> None:
    assert Duration().convert(typed, None, None) == seconds


@pytest.mark.parametrize("typed", ["", "m", "10 minutes", "-5", "1e3", "10M", "5m30s"])
def test_anything_else_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="as in 10m"):
        Duration().convert(typed, None, None)


def test_a_pair_is_cut_at_its_first_equals_sign() -> None:
    assert Pair().convert("query=a=b", None, None) == ("query", "a=b")
    assert Pair().convert("empty=", None, None) == ("empty", "")


def test_a_bare_key_means_any_value_where_that_is_allowed() -> None:
    assert Pair(bare_key=True).convert("env", None, None) == ("env", None)
    with pytest.raises(click.BadParameter, match="not key=value"):
        Pair().convert("env", None, None)


def test_a_pair_without_a_key_is_refused() -> None:
    with pytest.raises(click.BadParameter):
        Pair(bare_key=True).convert("=value", None, None)


def test_a_key_given_twice_is_refused() -> None:
    context = click.Context(click.Command("x"))
    parameter = click.Option(["--tag"])
    assert mapping(context, parameter, (("a", "1"), ("b", "2"))) == {"a": "1", "b": "2"}
    with pytest.raises(click.BadParameter, match="'a' is given twice"):
        mapping(context, parameter, (("a", "1"), ("a", "2")))


@pytest.mark.parametrize("typed", ["9" * 400, "40000d", "99999999999h"])
def test_a_time_of_more_than_a_century_is_a_slip(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="more than a hundred years"):
        Duration().convert(typed, None, None)
