"""The Celery app of the scheduler, for ``celery -A cloud_assistant.beat.app beat``.

``assist-beat`` runs the same scheduler without Celery's command line.
"""

from ..broker_config.celery_app import create_app
from ..broker_config.redis.kombu_transport import broker_options
from ..broker_config.redis.url import parse_url
from ..broker_config.settings import load
from .scheduler import Scheduler

app = create_app(
    "cloud_assistant.beat",
    beat_scheduler=f"{Scheduler.__module__}:{Scheduler.__qualname__}",
    # A mailbox that anybody who can publish may write to is no way to reach the scheduler.
    beat_enable_remote_control=False,
    **broker_options(parse_url(load().settings.redis_url)),
)
