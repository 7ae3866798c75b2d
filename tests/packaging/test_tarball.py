"""The release tarball: its files, with git and without."""

import os

import pytest

from tests.packaging.conftest import ROOT, run

SCRIPT = ROOT / "packaging" / "source-tarball.sh"


@pytest.fixture
def tree(tmp_path):
    """Make a small working tree with a file of every kind."""
    folder = tmp_path / "tree"
    files = ("README.md", "pkg/a.py", "pkg/b c.py", "new.txt", "gone.txt", "pkg/__pycache__/a.pyc")
    files += ("build/x", ".venv/x", "run.sh")
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / ".gitignore").write_text("__pycache__/\n")
    (folder / "run.sh").chmod(0o700)
    (folder / "README.md").chmod(0o600)
    return folder


def git(tree, *words):
    environment = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "nobody")
    environment.update(
        GIT_AUTHOR_EMAIL="n@example.invalid", GIT_COMMITTER_EMAIL="n@example.invalid"
    )
    run("git", *words, cwd=tree, env=environment)


def pack(tree, output):
    run(SCRIPT, "guard-1", "1700000000", output, cwd=tree)
    return run("tar", "-t", "-v", "-z", "-f", output, "--full-time", env={"TZ": "UTC"}).splitlines()


def names(lines):
    return [line.split(None, 5)[5] for line in lines]


EXPECTED = [".gitignore", "README.md", "new.txt", "pkg/a.py", "pkg/b c.py", "run.sh"]


def test_with_git_the_tarball_has_tracked_and_new_files(tree, tmp_path):
    git(tree, "init", "-q")
    git(tree, "add", "README.md", "gone.txt", "pkg/a.py")
    git(tree, "commit", "-q", "-m", "x")
    (tree / "gone.txt").unlink()
    assert names(pack(tree, tmp_path / "t.gz")) == [f"guard-1/{name}" for name in EXPECTED]


def test_without_git_the_tarball_has_all_but_litter_even_inside_another_repository(tree, tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("*\n")
    (tree / "gone.txt").unlink()
    assert names(pack(tree, tmp_path / "t.gz")) == [f"guard-1/{name}" for name in EXPECTED]


def test_owners_modes_and_times_are_neutral(tree, tmp_path):
    lines = [line.split() for line in pack(tree, tmp_path / "t.gz")]
    assert {(line[1], line[3], line[4]) for line in lines} == {("0/0", "2023-11-14", "22:13:20")}
    modes = {line[5]: line[0] for line in lines}
    assert modes["guard-1/run.sh"] == "-rwxr-xr-x"
    assert modes["guard-1/README.md"] == "-rw-r--r--"


def test_an_unchanged_tree_leaves_the_tarball_alone(tree, tmp_path):
    output = tmp_path / "t.gz"
    pack(tree, output)
    os.utime(str(output), (1, 1))
    os.utime(str(tree / "README.md"), (5, 5))
    pack(tree, output)
    assert output.stat().st_mtime == 1
    (tree / "README.md").write_text("changed")
    pack(tree, output)
    assert output.stat().st_mtime > 1
