"""Run the scheduler in Celery's beat service until the process is asked to end."""

import signal
import sys
from collections.abc import Mapping
from functools import partial
from types import FrameType

from celery.beat import Service

from ..broker_config.celery_app import create_app
from ..broker_config.errors import SettingsInvalid
from ..broker_config.programs.program_log import logger, set_up
from ..broker_config.redis.kombu_transport import broker_options
from ..broker_config.redis.url import parse_url
from ..broker_config.settings import load
from ..broker_config.settings_table import Value
from .scheduler import Scheduler

EXIT_USAGE = 2

_log = logger("beat")


def run(overrides: Mapping[str, Value], *, config: str = "", debug: bool = False) -> int:
    """Run until SIGTERM or Ctrl-C; answer the exit code."""
    set_up(debug=debug)
    try:
        settings = load(overrides, config=config).settings
        broker = broker_options(parse_url(settings.redis_url))
        app = create_app("cloud_assistant.beat", beat_enable_remote_control=False, **broker)
        service = Service(app, scheduler_cls=partial(Scheduler, settings=settings), remote_control=False)
        # Made here and not in start(), so that a bad setting ends the program with its own line.
        _log.info("beat starts redis=%s", service.scheduler.address)
    except SettingsInvalid as exc:
        sys.stderr.write(f"assist-beat: {exc}\n")
        return EXIT_USAGE
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    service.start()
    _log.info("beat ended")
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    """End at once: whatever is under way in Redis is whole there, or is taken over by another beat."""
    raise SystemExit(0)
