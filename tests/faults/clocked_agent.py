"""An agent whose supervisors see the stepped clock too, as on a machine whose clock is set.

The product starts them with an environment of their own, which a preloaded clock does not get into.
"""

import os

from cloud_assistant.worker import cli
from cloud_assistant.worker.execution import fork_server

if __name__ == "__main__":
    own_environment = fork_server._ENVIRONMENT
    own_environment.update({name: os.environ[name] for name in os.environ if name.startswith(("LD_", "FAKETIME"))})
    cli.main()
