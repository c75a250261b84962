"""The repository keeps its own rules."""

import pytest

from rules.catalogue import RULES
from rules.import_rules import import_cycles
from rules.source import repository_paths, repository_sources


@pytest.mark.parametrize("name", RULES)
def test_the_repository_keeps_the_rule(name: str) -> None:
    violations = [str(violation) for source in repository_sources() for violation in RULES[name](source)]
    assert not violations, f"{RULES[name].__doc__}\n" + "\n".join(violations)


def test_no_module_imports_itself_through_others() -> None:
    violations = [str(violation) for violation in import_cycles(repository_sources())]
    assert not violations, "\n".join(violations)


def test_the_rules_see_the_repository() -> None:
    seen = {str(path) for path in repository_paths()}
    assert {"setup.py", "broker_config/__init__.py", "tests/rules/test_repository.py"} <= seen
