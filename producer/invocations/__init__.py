"""Invocations from the request to the stop: how they are built, found, shown and ended."""
