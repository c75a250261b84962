import os
import pwd

import pytest

from cloud_assistant.worker.execution.account import account_of
from cloud_assistant.worker.execution.not_started import NotStarted


def test_an_empty_name_is_whoever_the_agent_is() -> None:
    me = pwd.getpwuid(os.geteuid())
    account = account_of("")
    assert (account.name, account.uid, account.home, account.is_own) == (me.pw_name, me.pw_uid, me.pw_dir, True)


def test_ones_own_name_needs_no_change_of_user() -> None:
    assert account_of(pwd.getpwuid(os.geteuid()).pw_name).is_own


@pytest.mark.parametrize("name", ["no-such-user", "root; id", "a\0b", "0"])
def test_an_unknown_user_is_refused(name: str) -> None:
    with pytest.raises(NotStarted) as refused:
        account_of(name)
    assert refused.value.error_code == "AccountNotExists"
    assert repr(name) in refused.value.error_info


def test_root_takes_all_groups_of_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    account = account_of("nobody")
    assert not account.is_own
    assert set(account.group_ids) == set(os.getgrouplist("nobody", account.gid))
    assert account.gid in account.group_ids


def test_an_ordinary_user_may_not_become_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(NotStarted) as refused:
        account_of("root")
    assert refused.value.error_code == "ExecutionException"
    assert "run the agent as root" in refused.value.error_info


def test_a_number_without_an_entry_is_an_account_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    account = account_of("")
    assert (account.name, account.uid, account.home, account.shell) == ("54321", 54321, "/", "/bin/sh")
