"""A series that grows is told from one that does not."""

import pytest
from faults.watch import Watch, growth

MIB = 1 << 20


@pytest.mark.parametrize(
    ("name", "values", "is_too_much"),
    [
        ("agent, memory", [40 * MIB + n * 100_000 for n in range(200)], True),
        ("agent, memory", [40 * MIB + (n % 7) * 300_000 for n in range(200)], False),
        ("agent, memory", [20 * MIB] * 80 + [45 * MIB] * 120, False),
        ("agent, files", [20 + n / 10 for n in range(200)], True),
        ("agent, files", [20 + n % 5 for n in range(200)], False),
        ("server's keys", [1_000 + n * 10 for n in range(200)], True),
        ("server's keys", [1_000 - n for n in range(200)], False),
    ],
)
def test_only_what_is_more_at_the_end_than_in_the_middle_grows(
    name: str, values: list[float], is_too_much: bool
) -> None:
    found = growth(name, values)
    assert found is not None
    assert found.is_too_much is is_too_much
    assert ("GROWS" in str(found)) is is_too_much


def test_a_few_samples_say_nothing() -> None:
    assert growth("agent, memory", [1.0, 2.0, 300 * MIB]) is None


def test_samples_are_collected_by_name() -> None:
    values = iter(range(1_000))
    watch = Watch(lambda: {"agent, files": float(next(values))}, every_seconds=0.001)
    watch.start()
    while len(watch.series["agent, files"]) < 30:
        pass
    watch.stop()
    (only,) = watch.growths()
    assert only.is_too_much
