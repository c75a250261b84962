"""Files are read while others remove them."""

import shutil
from pathlib import Path

from harness.files import contents_below


def test_what_vanishes_meanwhile_is_left_out(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name / "deeper").mkdir(parents=True)
        (tmp_path / name / "held").write_text(name)
    found = contents_below(tmp_path)
    path, held = next(found)
    assert held == path.parent.name.encode()
    for folder in tmp_path.iterdir():
        shutil.rmtree(folder)
    assert list(found) == []
