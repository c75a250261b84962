"""Profiles of the schedule's property tests.

``pytest tests/unit/broker_config/schedule --hypothesis-profile=schedule_thorough`` looks at twenty times as many
examples, in about four minutes.
"""

from hypothesis import settings

settings.register_profile("schedule_thorough", max_examples=2000, deadline=None, print_blob=True)
