"""The queue of an instance: an agent's Celery worker, and how a message comes to it and goes to a slot."""
