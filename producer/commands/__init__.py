"""Stored commands and the parameters of their scripts."""
