"""What a request is made into, and what of it is refused before it costs anything."""

import tracemalloc

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.producer.commands.command_library import build_command
from cloud_assistant.producer.invocations.invoking import RunOptions, prepare


def test_a_long_value_in_many_places_is_refused_before_the_text_is_made() -> None:
    limits = LimitSettings()
    command = build_command(limits, name="t", type="RunShellScript", content=b"{{a}}" * 3_600, enable_parameter=True)
    tracemalloc.start()
    try:
        with pytest.raises(Refused) as refused:
            prepare(command, RunOptions(parameters={"a": "x" * 20_000}), limits, target_count=1, stored=False)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.code == "CmdContent.ExceedLimit"
    assert peak_bytes < 10_000_000
