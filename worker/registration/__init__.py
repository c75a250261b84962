"""Becoming an instance: ask a gateway, with an activation, and keep the identity that it gives."""
