"""Timed invocations: how they are stored, their due times, and what was decided about each."""
