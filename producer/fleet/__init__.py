"""The instances: how they are registered, tagged, found, and chosen as targets."""
