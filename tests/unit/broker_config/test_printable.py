"""Text from elsewhere cannot steer a terminal."""

from cloud_assistant.broker_config.printable import clean


def test_control_characters_are_shown_and_not_sent() -> None:
    assert clean("a\x1b[31mb\r\n\x07") == "a\\x1b[31mb\\r\\n\\x07"
    assert clean("web 一") == "web 一"
