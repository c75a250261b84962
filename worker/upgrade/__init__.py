"""Becoming another version: fetch and verify it, try it on probation, keep it or return to the old one."""
