"""The Celery app that Flower looks through: ``celery -A cloud_assistant.producer.monitor_app flower``.

It defines no task and answers no remote control; agents and executions reach Flower as events.
"""

from ..broker_config.celery_app import create_app
from ..broker_config.settings import load

app = create_app(load().settings.redis_url)
