"""Text from elsewhere cannot steer a terminal."""

import json

from cloud_assistant.broker_config.programs.printable import clean, clean_json


def test_control_characters_are_shown_and_not_sent() -> None:
    assert clean("a\x1b[31mb\r\n\x07") == "a\\x1b[31mb\\r\\n\\x07"
    assert clean("web 一") == "web 一"


def test_json_stays_the_same_value_and_holds_nothing_that_a_terminal_obeys() -> None:
    value = {"a": "\x9b2J\x7f\x1b\u0085 web \u4e00 \\"}
    shown = clean_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert shown.isprintable()
    assert "\u4e00" in shown
