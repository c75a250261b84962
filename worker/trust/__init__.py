"""Whom an agent believes: the keys of its instance, the check of each work order, the report of what was refused."""
