"""The repository's own rules: one function per rule, each shown able to fail by a bad sample."""
