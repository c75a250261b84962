"""Each rule reports a bad sample and lets a good one pass."""

from pathlib import PurePosixPath

import pytest

from rules.catalogue import RULES
from rules.import_rules import import_cycles
from rules.source import Source

LONG_FUNCTION = "def long():\n" + "    x = 1\n" * 60
SLEEP = "import time\ntime" + ".sleep(1)\n"
LATER = "TO" + "DO"

#: (rule, path, text, line of the violation)
BAD = [
    ("layers", "beat/cli.py", "import os\nfrom ..producer.api import Assistant\n", 2),
    ("layers", "worker/cli.py", "from .. import beat\n", 1),
    ("layers", "broker_config/keys.py", "from ..worker import cli\n", 1),
    ("layers", "producer/cli/main.py", "from ...worker.cli import main\n", 1),
    ("layers", "producer/api.py", "import cloud_assistant.beat.due\n", 1),
    ("no_absolute_namespace_import", "worker/cli.py", "from cloud_assistant.broker_config import keys\n", 1),
    ("no_absolute_namespace_import", "worker/cli.py", "import cloud_assistant.broker_config.keys\n", 1),
    ("no_upward_string", "broker_config/celery_app.py", "INCLUDE = ['cloud_assistant.worker.queue.tasks']\n", 1),
    ("standalone_execution", "worker/execution/run.py", "import os\nimport msgspec\n", 2),
    ("standalone_execution", "worker/execution/run.py", "from ...broker_config import keys\n", 1),
    ("standalone_execution", "worker/execution/run.py", "from ..cli import main\n", 1),
    ("standalone_execution", "worker/execution/deep/run.py", "def f():\n    from redis import Redis\n", 2),
    ("no_hidden_import", "worker/cli.py", "def main():\n    import json\n", 2),
    ("no_hidden_import", "worker/cli.py", "def main():\n    # lazy:\n    import json\n", 3),
    ("file_length", "worker/cli.py", "x = 1\n" * 401, 400),
    ("file_length", "broker_config/functions/claim.lua", "return 1\n" * 401, 400),
    ("function_length", "worker/cli.py", LONG_FUNCTION, 1),
    ("key_prefix", "worker/claim.py", "key = f'ca:i:{1}:open'\n", 1),
    ("key_prefix", "worker/claim.py", "key = b'ca:instances'\n", 1),
    ("key_prefix", "broker_config/functions/claim.lua", "-- KEYS[1]\nredis.call('GET', 'ca:instances')\n", 2),
    ("environment", "worker/cli.py", "import os\nhome = os.environ['HOME']\n", 2),
    ("environment", "worker/execution/run.py", "import os\nhome = os.getenv('HOME')\n", 2),
    ("environment", "producer/cli.py", "from os import environ\n", 1),
    ("no_sleep_in_tests", "tests/unit/worker/test_claim.py", SLEEP, 2),
    ("no_sleep_in_tests", "tests/e2e/test_run.py", "from time import sleep\n", 1),
    ("no_broad_except", "worker/cli.py", "try:\n    pass\nexcept Exception:\n    pass\n", 3),
    ("no_broad_except", "tests/e2e/test_run.py", "try:\n    pass\nexcept:\n    pass\n", 3),
    ("no_broad_except", "beat/cli.py", "try:\n    pass\nexcept (OSError, BaseException) as exc:\n    print(exc)\n", 3),
    ("nothing_unfinished", "worker/cli.py", f"x = 1  # {LATER}: more\n", 1),
    ("nothing_unfinished", "deploy/quickstart", f"#!/bin/sh\n# {LATER}\n", 2),
    ("names", "worker/claim.py", "def claim_job(): ...\n", 1),
    ("names", "worker/claim.py", "class NodeList: ...\n", 1),
    ("names", "worker/claim.py", "def claim(minions): ...\n", 1),
    ("names", "worker/claim.py", "for target_host in (): ...\n", 1),
    ("names", "worker/claim.py", "self.helpers = 1\n", 1),
    ("names", "worker/utils.py", "", 1),
    ("workplace", "README.md", "see ../" + "shared/design.md\n", 1),
    ("workplace", "deploy/unit.service", "[Service]\nWorkingDirectory=/wor" + "k/main\n", 2),
    ("workplace", "README.md", "found in ." + "library/env\n", 1),
    ("workplace", "Makefile", "# a sub" + "agent made it\n", 1),
    ("launched_by_name", "deploy/README.md", "python3 -m celery -A x worker\n", 1),
]

GOOD = [
    ("layers", "worker/cli.py", "from ..broker_config import keys\nfrom . import claim\nfrom beat import drum\n"),
    ("layers", "tests/e2e/test_run.py", "from cloud_assistant.worker import cli\nimport cloud_assistant.beat.cli\n"),
    ("no_absolute_namespace_import", "worker/cli.py", "from ..broker_config import keys\nimport cloud_assistants\n"),
    ("no_upward_string", "broker_config/queues.py", "NAME = 'cloud_assistant.run'\n"),
    (
        "standalone_execution",
        "worker/execution/run.py",
        "import os.path\nfrom .output import Output\nfrom . import x\n",
    ),
    ("standalone_execution", "worker/cli.py", "import msgspec\n"),
    ("no_hidden_import", "worker/cli.py", "import os\ndef main():\n    # lazy: only on Windows\n    import winreg\n"),
    ("no_hidden_import", "worker/cli.py", "def main():\n    import winreg  # lazy: only on Windows\n"),
    ("file_length", "tests/unit/test_long.py", "x = 1\n" * 401),
    ("file_length", "README.md", "long\n" * 401),
    ("function_length", "tests/unit/test_long.py", LONG_FUNCTION),
    ("key_prefix", "broker_config/keys.py", "PREFIX = 'ca:'\n"),
    ("key_prefix", "worker/claim.py", "'''The ledger row: ca:i:… moves.'''\nca = {'location: here': 1}\n"),
    ("key_prefix", "broker_config/functions/claim.lua", "-- KEYS[1]: 'ca:i:{ID}:open'\nreturn 1\n"),
    ("environment", "broker_config/settings.py", "import os\nhome = os.environ['HOME']\n"),
    ("environment", "worker/cli.py", "environ = {}\nspec.environ = 1\n"),
    ("no_sleep_in_tests", "tests/harness/eventually.py", SLEEP),
    ("no_sleep_in_tests", "tests/e2e/test_run.py", "import time\nprogram.sleep(time.monotonic())\n"),
    ("no_broad_except", "worker/cli.py", "try:\n    pass\n# outermost: logged\nexcept Exception:\n    log()\n"),
    ("no_broad_except", "worker/cli.py", "try:\n    pass\nexcept BaseException:\n    undo()\n    raise\n"),
    (
        "no_broad_except",
        "worker/cli.py",
        "try: ...\nexcept Exception:  # the outermost loop: logged\n    log()\n",
    ),
    ("no_broad_except", "worker/cli.py", "try:\n    pass\nexcept (OSError, ValueError):\n    log()\n"),
    ("nothing_unfinished", "deploy/quickstart", "mktemp -d /tmp/assist.XX" + "XXXX\n"),
    ("names", "worker/claim.py", "import platform\nname = platform.node()\nhostname = name\njobbing = 1\n"),
    ("names", "broker_config/redis/url.py", "def connect(host, port): ...\n"),
    ("workplace", "worker/cli.py", "path = '/opt/workers/state'\nfrom .function_library import call\n"),
    ("launched_by_name", "deploy/README.md", "assist-agent run\n"),
]


@pytest.mark.parametrize(("name", "path", "text", "line"), BAD)
def test_a_bad_sample_is_reported_at_its_line(name: str, path: str, text: str, line: int) -> None:
    found = list(RULES[name](Source(PurePosixPath(path), text)))
    assert [violation.line for violation in found] == [line], found


@pytest.mark.parametrize(("name", "path", "text"), GOOD)
def test_a_good_sample_passes(name: str, path: str, text: str) -> None:
    assert not list(RULES[name](Source(PurePosixPath(path), text)))


def test_every_rule_has_a_bad_sample_and_a_good_one() -> None:
    assert {sample[0] for sample in BAD} == set(RULES)
    assert {sample[0] for sample in GOOD} == set(RULES)


def source_of(path: str, text: str) -> Source:
    return Source(PurePosixPath(path), text)


def test_an_import_cycle_is_reported_once_with_its_way() -> None:
    sources = [
        source_of("worker/__init__.py", ""),
        source_of("worker/claim.py", "from .report import send\n"),
        source_of("worker/report.py", "from . import spool\n"),
        source_of("worker/spool.py", "def f():\n    from ..worker.claim import claim\n"),
        source_of("worker/cli.py", "from . import claim\n"),
    ]
    assert [str(violation) for violation in import_cycles(sources)] == [
        "worker/claim.py:1: import cycle: worker.claim → worker.report → worker.spool → worker.claim"
    ]


def test_modules_that_import_downwards_only_are_no_cycle() -> None:
    sources = [
        source_of("worker/__init__.py", "from .claim import claim\n"),
        source_of("worker/claim.py", "from . import spool\nfrom ..broker_config import keys\n"),
        source_of("worker/spool.py", "from ..broker_config.keys import queue\n"),
        source_of("broker_config/__init__.py", ""),
        source_of("broker_config/keys.py", "import os\n"),
    ]
    assert not list(import_cycles(sources))
