"""Timed invocations for a run: asked for before the first fault and stopped after the last."""

from collections.abc import Sequence
from dataclasses import replace

from faults.scene import Scene, TimedAsked
from faults.scripts import QUICK

from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.settings_table import BeatSettings, Settings
from cloud_assistant.broker_config.timed import server_ms
from cloud_assistant.producer import Assistant, RunOptions, Targets


def begin(scene: Scene, instance_ids: Sequence[str], periods_seconds: Sequence[int]) -> None:
    """Have a script run on these instances every so many seconds, which must divide a minute."""
    with _assistant(scene) as assistant:
        for seconds in periods_seconds:
            invoked = assistant.run_command(
                scene.traces.text(QUICK),
                Targets(instance_ids=list(instance_ids)),
                RunOptions(
                    timeout_seconds=seconds,
                    schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency=f"*/{seconds} * * * * *"),
                ),
            )
            scene.timed.append(
                TimedAsked(invoked.invoke_id, QUICK, list(instance_ids), seconds * 1000, server_ms(scene.redis))
            )


def end(scene: Scene) -> None:
    """Stop all of them; nothing is due from then on."""
    with _assistant(scene) as assistant:
        for one in scene.timed:
            one.until_ms = server_ms(scene.redis) - 1
            assistant.stop_invocation(one.invoke_id)


def _assistant(scene: Scene) -> Assistant:
    return Assistant(scene.redis.url, settings=replace(Settings(), beat=BeatSettings(minimum_interval_seconds=1)))
