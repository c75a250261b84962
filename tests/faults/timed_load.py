"""Timed invocations for a run: asked for before the first fault and stopped after the last."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from faults.scene import Scene, TimedAsked
from faults.scripts import QUICK, SLOW

from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.settings_table import BeatSettings, SecuritySettings, Settings
from cloud_assistant.broker_config.timed.timed_invocation import server_ms
from cloud_assistant.producer import Assistant, RunOptions, Targets


def begin(
    scene: Scene,
    instance_ids: Sequence[str],
    periods_seconds: Sequence[int],
    *,
    at_once_count: int = 0,
    master_file: Path | None = None,
) -> None:
    """Have a script run on these instances every so many seconds, which must divide a minute.

    On so many of them at once; 0 stands for all.
    """
    script = SLOW if at_once_count else QUICK
    with _assistant(scene, master_file) as assistant:
        for seconds in periods_seconds:
            invoked = assistant.run_command(
                scene.traces.text(script, takes_turns=bool(at_once_count)),
                Targets(instance_ids=list(instance_ids)),
                RunOptions(
                    timeout_seconds=seconds,
                    at_once=str(at_once_count or ""),
                    schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency=f"*/{seconds} * * * * *"),
                ),
            )
            asked = TimedAsked(invoked.invoke_id, script, list(instance_ids), seconds * 1000, server_ms(scene.redis))
            asked.at_once_count = at_once_count
            scene.timed.append(asked)


def end(scene: Scene, *, master_file: Path | None = None) -> None:
    """Stop all of them, whatever is still undecided; nothing is due from then on."""
    with _assistant(scene, master_file) as assistant:
        for one in scene.timed:
            one.until_ms = server_ms(scene.redis) - 1
            assistant.stop_invocation(one.invoke_id)


def _assistant(scene: Scene, master_file: Path | None = None) -> Assistant:
    settings = replace(
        Settings(),
        beat=BeatSettings(minimum_interval_seconds=1),
        security=SecuritySettings(master_key_file=str(master_file or "")),
    )
    return Assistant(scene.redis.url, settings=settings)
