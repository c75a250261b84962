"""What every Celery app of ours has in common, each option with its reason; an app adds its way to the broker."""

from typing import Any

from celery import Celery


def create_app(name: str, **options: Any) -> Celery:
    """Make the Celery app of a process; nothing is connected yet. ``options`` are its own settings of Celery."""
    app = Celery(name, set_as_current=False)
    app.conf.update(
        # No pickle in either direction, whatever arrives.
        accept_content=["json"],
        task_serializer="json",
        # Results live in the ledger.
        task_ignore_result=True,
        result_backend=None,
        # Redis may be away for days; the default gives up after 100 tries.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=5,
        # Stop messages have a lane of their own; the stock mailbox would let anybody who can publish stop agents.
        worker_enable_remote_control=False,
        # A row for each queue in a table of bindings would be left behind for ever.
        task_create_missing_queues=True,
        enable_utc=True,
        timezone="UTC",
        **options,
    )
    return app
