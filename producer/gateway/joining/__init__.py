"""How a machine joins through the gateway: the installer that it downloads, and its registration."""
