"""Real servers, real programs and real faults for the tests; nothing here imitates Redis or Celery."""
