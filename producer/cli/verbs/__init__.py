"""The commands of ``assist``, a module for each verb or group of verbs."""
