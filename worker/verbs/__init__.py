"""The verbs of ``assist-agent``: a module each, imported when its verb is called."""
