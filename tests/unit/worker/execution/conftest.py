"""What several tests of executions need."""

from collections.abc import Iterator

import pytest

from cloud_assistant.worker.execution.channel import Channel


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """Both ends of a connection between an agent and a supervisor."""
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()
