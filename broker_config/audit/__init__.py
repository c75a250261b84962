"""The audit as its writers and its readers must agree on it: entries, the chain that they make, its anchor."""
