"""Tables stay aligned, fit the terminal, and lose nothing in a pipe."""

from cloud_assistant.producer.cli.printing.tables import properties, table
from cloud_assistant.producer.cli.printing.text_cells import width_of

HEADERS = ("INSTANCE", "NAME", "TAGS")
ROWS = [("i-web1", "第一台", "env=test"), ("i-a-much-longer-name", "x", "role=" + "y" * 100)]


def test_columns_are_aligned_also_with_wide_characters() -> None:
    lines = table(HEADERS, ROWS, None)
    places = [width_of(line[: line.index(word)]) for line, word in zip(lines, ("TAGS", "env", "role"), strict=True)]
    assert len(set(places)) == 1


def test_on_a_terminal_no_line_is_longer_than_it() -> None:
    lines = table(HEADERS, ROWS, 60)
    assert max(map(width_of, lines)) == 60
    assert lines[2].endswith("…")


def test_where_the_last_column_is_not_enough_the_widest_gives_way_and_the_first_never() -> None:
    rows = [("i-a-much-longer-name", "n" * 80, "env=test")]
    lines = table(HEADERS, rows, 50)
    assert max(map(width_of, lines)) <= 50
    assert lines[1].startswith("i-a-much-longer-name  nnn")


def test_nothing_is_cut_in_a_pipe() -> None:
    assert table(HEADERS, ROWS, None)[2].endswith("y" * 100)


def test_a_name_from_an_instance_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in "".join(table(("A", "B"), [("x", "\x1b]0;owned\x07")], None))


def test_properties_without_a_value_are_left_out() -> None:
    assert properties([("Name", "web"), ("Description", ""), ("Id", "c-1")]) == ["Name  web", "Id    c-1"]
