"""A version of a folder's results replaces the one before as a whole, wherever the process that makes it is killed."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.foundation.storage.next_version import SWITCH, finish_switch, next_version

NAMES = st.sampled_from(
    ["tables/a.parquet", "tables/b/0.parquet", "tables/b/1.parquet", "notes/plan.json", "steps.json"]
)
VERSIONS = st.dictionaries(NAMES, st.text("xy", max_size=3), min_size=1)


class KilledError(BaseException):
    """The process is gone."""


def write(root: Path, version: dict[str, str]) -> None:
    """Write files as a Store does: a new file is renamed into the place of the old one."""
    for name, text in version.items():
        draft = root / "draft"
        draft.write_text(text)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        draft.replace(root / name)


def version_of(root: Path) -> dict[str, str]:
    parts = [path for part in ("tables", "notes") for path in (root / part).rglob("*")] + [root / "steps.json"]
    return {str(path.relative_to(root)): path.read_text() for path in parts if path.is_file()}


@settings(max_examples=60, deadline=None)
@given(old=VERSIONS, new=VERSIONS, moves=st.integers(0, 8))
def test_a_switch_that_is_killed_is_gone_on_with(old: dict[str, str], new: dict[str, str], moves: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root, plain, left = Path(folder), Path.replace, [moves]
        write(root, old)
        (root / "serve").mkdir()
        (root / "serve" / "ledger.db").write_text("kept")

        def replace(path: Path, target: Path) -> Path:
            if SWITCH in path.parts:
                if not left[0]:
                    raise KilledError
                left[0] -= 1
            return plain(path, target)

        try:
            with next_version(root) as draft:
                for name in old.keys() - new.keys():
                    (draft / name).unlink()
                write(draft, new)
                assert version_of(root) == old
                assert (draft / "serve" / "ledger.db").read_text() == "kept"
                patch.setattr(Path, "replace", replace)
        except KilledError:
            patch.setattr(Path, "replace", plain)
            finish_switch(root)
        assert version_of(root) == new
        assert not (root / SWITCH).exists()
        assert (root / "serve" / "ledger.db").read_text() == "kept"


@given(old=VERSIONS, new=VERSIONS)
def test_a_version_that_fails_leaves_the_one_before(old: dict[str, str], new: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, old)
        with suppress(KilledError), next_version(root) as draft:
            write(draft, new)
            raise KilledError
        assert version_of(root) == old
        assert [*(root / "tmp").iterdir()] == []
