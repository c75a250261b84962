"""Timed invocations: checked, begun, shown, changed and stopped. A beat fires them."""
