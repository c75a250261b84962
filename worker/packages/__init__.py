"""Packages on an instance: named, versioned archives with scripts, installed by an ordinary execution."""
