"""The Celery app that Flower looks through: ``celery -A cloud_assistant.producer.monitor_app flower``.

It defines no task and reaches no agent: executions come to Flower as events, facts about agents from their reports.
"""

from functools import partial

from ..broker_config.celery_app import create_app
from ..broker_config.redis.client import Redis
from ..broker_config.redis.kombu_transport import broker_options
from ..broker_config.settings import load
from .monitor_control import ReportedControl

_redis = Redis(load().settings.redis_url, name="flower")

app = create_app(
    "cloud_assistant",
    # With an expiry, kombu would keep its deadline by Lua of its own, which Flower's Redis user may not run.
    event_queue_expires=None,
    **broker_options(_redis.address),
)
app.control_cls = partial(ReportedControl, redis=_redis)
