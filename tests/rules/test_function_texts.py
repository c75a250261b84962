"""A changed text of the functions in Redis is a decision about their callers."""

from rules.function_fingerprints import complaints, fingerprint, found, kept


def test_no_text_changed_without_a_thought_for_its_callers() -> None:
    wrong = list(complaints(kept(), found()))
    assert not wrong, wrong[0]


def test_a_changed_or_new_or_missing_text_asks_for_the_version() -> None:
    before = {"TEXT_VERSION": "2", "claim.lua": "a", "finish.lua": "b"}
    for now in ({**before, "claim.lua": "c"}, {**before, "new.lua": "d"}, {"TEXT_VERSION": "2", "claim.lua": "a"}):
        (said,) = complaints(before, now)
        assert "is still 2" in said
    (said,) = complaints(before, {**before, "TEXT_VERSION": "3", "claim.lua": "c"})
    assert said.startswith("TEXT_VERSION was raised to 3; renew")
    assert not list(complaints(before, dict(before)))


def test_comments_do_not_count_and_code_does() -> None:
    text = "-- KEYS[1] row\nlocal row = KEYS[1]\n\nreturn row\n"
    assert fingerprint(text) == fingerprint("local row = KEYS[1]\n  -- another word\nreturn row\n")
    assert fingerprint(text) != fingerprint(text.replace("KEYS[1]\n\n", "KEYS[2]\n\n"))
