"""``assist ecs`` knows the parameters of every action, so that a misspelt one is refused and not passed over."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.producer import gateway
from cloud_assistant.producer.cli.verbs.ecs_parameters import PARAMETERS, check_names
from cloud_assistant.producer.security.known_actions import KNOWN_ACTIONS


def _defined(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Functions, methods and constants of a module; what it imports from its neighbours is in ``IMPORTED``."""
    for node in [*tree.body, *(one for it in tree.body if isinstance(it, ast.ClassDef) for one in it.body)]:
        match node:
            case ast.FunctionDef(name=name):
                yield name, node
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.AST() as value):
                yield name, value


def _imported(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.level <= module.count(".") + 1:
            home = ".".join([*module.split(".")[: -node.level], node.module])
            for name in node.names:
                yield name.name, home


#: The methods of ``Parameters`` that read one by its name.
READERS = ("text", "required", "boolean", "integer", "list_of", "objects", "json_object", "json_list")
RECEIVERS = ("given", "parameters", "call.parameters")
GATEWAY = Path(gateway.__file__).parent
#: The gateway's modules by their dotted names inside of it.
MODULES = {
    ".".join(path.relative_to(GATEWAY).with_suffix("").parts): ast.parse(path.read_text())
    for path in GATEWAY.rglob("*.py")
}
#: By module and name: functions, methods, and the values of constants.
DEFINED: dict[str, dict[str, ast.AST]] = {module: dict(_defined(tree)) for module, tree in MODULES.items()}
#: By module and name: the module of the gateway that a name was imported from.
IMPORTED = {module: dict(_imported(module, tree)) for module, tree in MODULES.items()}
#: What is looked for on behalf of another action; the region is every action's.
OF_OTHERS = {"InvokeCommand": {"RegionId", "Type"}}
#: Taken, as the service takes them, and of no consequence here.
WITHOUT_EFFECT = {
    "DescribeCommands": {"Latest"},
    "DescribeRegions": {"AcceptLanguage", "InstanceChargeType", "ResourceType"},
    "InvokeCommand": {"Timed"},
    "ModifyCommand": {"CommandContent", "ContentEncoding"},
}


@pytest.mark.parametrize(
    ("action", "names"),
    [
        ("StopInvocation", ["InvokeId", "RegionId", "InstanceId.1"]),
        ("RunCommand", ["TimeOut", "Tag.1.Key", "OwnerId"]),
        ("DescribeInvocations", ["Type"]),
        ("AnActionOfALaterRelease", ["Anything"]),
    ],
)
def test_what_an_action_has_is_taken(action: str, names: list[str]) -> None:
    check_names(action, names)


@pytest.mark.parametrize(
    ("action", "name", "told"),
    [
        ("StopInvocation", "InstancId.1", "did you mean InstanceId?"),
        ("StopInvocation", "instanceid", "did you mean InstanceId?"),
        ("DescribeInvocationResults", "InvokeID", "did you mean InvokeId?"),
        ("DescribeInstances", "VpcId", "has no parameter VpcId. It has: InstanceIds, InstanceName, MaxResults,"),
        ("DescribeRegions", "Type", "With --force it is sent all the same"),
    ],
)
def test_what_it_does_not_have_is_refused_with_the_remedy(action: str, name: str, told: str) -> None:
    with pytest.raises(RequestInvalid, match=re.escape(told)):
        check_names(action, ["RegionId", name])


def test_the_table_has_every_action() -> None:
    assert set(PARAMETERS) == set(KNOWN_ACTIONS)


@pytest.mark.parametrize("action", KNOWN_ACTIONS)
def test_the_table_has_what_the_action_reads(action: str) -> None:
    """Read in the source: the names that the action, and what it calls in the gateway, looks for."""
    reading = Reading()
    reading.follow(*_method_of(action))
    listed = set(PARAMETERS[action])
    assert reading.names - OF_OTHERS.get(action, {"RegionId"}) <= listed
    assert listed - reading.texts <= WITHOUT_EFFECT.get(action, set())


@dataclass
class Reading:
    """What a function and all that it calls look for in the parameters of a request."""

    names: set[str] = field(default_factory=set)
    #: Every text there, for names that are read by way of a variable.
    texts: set[str] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)

    def follow(self, tree: ast.AST, module: str) -> None:
        if id(tree) in self._seen:
            return
        self._seen.add(id(tree))
        for node in ast.walk(tree):
            match node:
                case ast.Constant(value=str(text)):
                    self.texts.add(text)
                case ast.Call(func=ast.Attribute(value=receiver, attr=reader), args=[ast.Constant(str(name)), *_]) if (
                    reader in READERS and ast.unparse(receiver) in RECEIVERS
                ):
                    self.names.add(name)
            match node:
                case ast.Name(id=called) | ast.Attribute(value=ast.Name(id="self"), attr=called):
                    if found := _definition(called, module):
                        self.follow(*found)


def _method_of(action: str) -> tuple[ast.AST, str]:
    """The method that the tables of the families name for an action."""
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if module.startswith("actions.") and isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == action and isinstance(value, ast.Attribute):
                        return DEFINED[module][value.attr], module
    raise AssertionError(f"no family of actions has {action}")


def _definition(name: str, module: str) -> tuple[ast.AST, str] | None:
    """What a name of a module stands for, and where; None when that is nothing of the gateway's."""
    module = IMPORTED[module].get(name, module)
    return (DEFINED[module][name], module) if name in DEFINED.get(module, ()) else None
