"""Configuration files: which are read, in which order, and which are refused."""

import errno
import os
import stat
from unittest import mock

import pytest

from ipvsd.config import comparison
from ipvsd.config import files as config_files
from ipvsd.model import Exit, GuardError, Mode

ETC = "etc/ipvs-estoff-guard"


def load(root):
    return config_files.load(config_files.places(root.path))


def test_drop_ins_are_read_by_name_after_the_main_file(root):
    root.configure("[guard]\nmode=observe\n", "conf.d/20-b.conf")
    root.configure("[guard]\nmode=enforce\nresync=9s\n", "conf.d/10-a.conf")
    root.configure("[guard]\nresync=8s\n")
    root.configure("nonsense", "conf.d/.hidden.conf")
    root.configure("nonsense", "conf.d/backup.conf~")
    config = load(root)
    assert config.policy.mode is Mode.OBSERVE
    (resync,) = [option for option in config.options if option.key == "resync"]
    assert resync.origin == root.join(ETC + "/conf.d/10-a.conf") + ":3"


def test_no_files_are_the_defaults(root):
    root.unconfigure()
    assert load(root) == config_files.load(config_files.Places(root.join("nowhere")))


def test_a_drop_in_that_is_dev_null_counts_as_empty(root):
    os.symlink("/dev/null", root.join(ETC + "/conf.d/a.conf"))
    assert load(root).warnings == ()


@pytest.mark.parametrize(
    "why, make, reason",
    [
        ("a FIFO must not stop the daemon", os.mkfifo, "not a regular file"),
        ("a device", lambda path: os.symlink("/dev/zero", path), "not a regular file"),
        ("a socket", lambda path: os.mknod(path, stat.S_IFSOCK), "No such device or address"),
        ("a loop", lambda path: os.symlink(path, path), "Too many levels of symbolic links"),
        ("not text", lambda path: _write(path, b"[guard]\n\xff\n"), ":2: is not UTF-8 text"),
        ("huge", lambda path: _write(path, b"#" * (1024 * 1024 + 1)), "larger than"),
    ],
)
def test_a_strange_file_is_refused_with_its_path(root, why, make, reason):
    path = root.join(ETC + "/conf.d/a.conf")
    make(path)
    with pytest.raises(GuardError) as refused:
        load(root)
    assert str(refused.value).startswith(path) and reason in str(refused.value), why
    assert refused.value.code is Exit.USAGE


@pytest.mark.parametrize("folder", ["etc/ipvs-estoff-guard/conf.d", "run/ipvs-estoff-guard.conf.d"])
def test_a_folder_among_the_drop_ins_is_passed_over_with_a_warning(root, folder):
    os.makedirs(root.join(folder + "/old.conf"))
    os.symlink(".", root.join(folder + "/link.conf"))
    root.write(folder + "/z.conf", "[guard]\nmode = observe\n")
    config = load(root)
    passed_over = [root.join(f"{folder}/{name}.conf") for name in ("link", "old")]
    assert config.warnings == tuple(f"{path}: is a folder, passed over" for path in passed_over)
    assert config.policy.mode is Mode.OBSERVE


def test_a_byte_order_mark_is_taken_like_none(root):
    root.configure("\ufeff[guard]\nmode = observe\n")
    root.configure("\ufeff# a comment\n[guard]\ncanary = off\n", "conf.d/a.conf")
    config = load(root)
    assert config.policy.mode is Mode.OBSERVE and config.policy.canary_ns is None
    assert not config.warnings


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO])
@pytest.mark.parametrize("function", ["builtins.open", "os.listdir"])
def test_a_failure_that_may_pass_has_a_code_that_systemd_restarts(root, function, number):
    root.configure("", "conf.d/a.conf")

    def fail(path, *_arguments, **_options):
        raise OSError(number, os.strerror(number), path)

    with mock.patch(function, fail), pytest.raises(GuardError) as failed:
        load(root)
    assert os.strerror(number) in str(failed.value)
    assert failed.value.code is Exit.CANNOT_TELL


LEFT = "run/ipvs-estoff-guard.conf.d/" + comparison.DROP_IN


def test_the_drop_in_of_a_comparison_counts_while_it_holds_its_lock(root):
    root.write(LEFT, "[guard]\nmode = observe\n")
    assert load(root).policy.mode is Mode.ENFORCE and not load(root).compares
    descriptor = comparison.begin(os.path.dirname(root.join(LEFT)))
    assert load(root).policy.mode is Mode.OBSERVE and load(root).compares
    os.close(descriptor)
    assert load(root).policy.mode is Mode.ENFORCE and not load(root).compares


def test_whether_a_comparison_runs_may_be_unknown_and_then_its_drop_in_counts(root, monkeypatch):
    root.write(LEFT, "[guard]\nmode = observe\n")
    monkeypatch.setattr(comparison, "is_running", lambda _folder: None)
    config = load(root)
    assert config.policy.mode is Mode.OBSERVE
    (warning,) = config.warnings
    assert warning.startswith(root.join(LEFT) + ": cannot tell whether its comparison still runs")


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)
