"""`make repo`: a repository that old and new yum can read, signed with a key of the test."""

import gzip
import os
import re
import subprocess
import sys

import pytest

from tests.packaging.conftest import NAME, query, run

BASEURL = "http://packages.example/guard"
PUBLIC_KEY = f"RPM-GPG-KEY-{NAME}"


def make_repo(built, folder, *variables, env=None):
    """Run `make repo` on the packages that are built already."""
    run(
        "make",
        "-f",
        "packaging/rpm.mk",
        "repo",
        f"RPM_BUILD={built.folder}",
        f"PYTHON={sys.executable}",
        f"REPO_DIR={folder}",
        f"BASEURL={BASEURL}",
        *variables,
        env=env,
    )
    return folder


@pytest.fixture(scope="module")
def signed(built, keys, tmp_path_factory):
    folder, key = keys
    repo = tmp_path_factory.mktemp("repo") / "signed"
    return make_repo(built, repo, f"GPG_KEY={key}", env={"GNUPGHOME": str(folder)})


@pytest.fixture(scope="module")
def plain(built, tmp_path_factory):
    return make_repo(built, tmp_path_factory.mktemp("repo") / "plain")


def test_a_repository_can_hold_more_than_one_release(built, tmp_path):
    newer = make_repo(
        built,
        tmp_path / "newer",
        "RPM_DIST=.1",
        f"REPO_EXTRA={built.binary}",
        "RPMBUILD_FLAGS=--without tests",
    )
    packages = sorted(path.name for path in newer.glob("*.rpm"))
    stem = built.binary.name[: -len(".noarch.rpm")]
    assert packages == [f"{stem}.1.noarch.rpm", f"{stem}.noarch.rpm"]
    primary = gzip.decompress(next(newer.glob("repodata/*-primary.xml.gz")).read_bytes())
    assert b'packages="2"' in primary


def test_the_same_packages_give_the_same_bytes(built, plain, tmp_path):
    """At another time and place. Signed files are exempt: they contain their time."""
    again = tmp_path / "again"
    later_s = built.binary.stat().st_mtime + 1000
    os.utime(built.binary, (later_s, later_s))
    make_repo(built, again)
    run("diff", "-r", plain, again)
    # Two runs may be within a second, so compare the times themselves too.
    times = re.findall(
        r"<(?:revision|timestamp)>(\d+)<", (plain / "repodata/repomd.xml").read_text()
    )
    assert set(times) == set(query(built.binary, "%{BUILDTIME}"))


def settings(repo):
    lines = (repo / f"{NAME}.repo").read_text().splitlines()
    assert lines[0] == f"[{NAME}]"
    return dict(line.split("=", 1) for line in lines[1:])


def test_the_key_is_for_a_few_days_only(keys):
    folder, key = keys
    listed = run("gpg", "--homedir", folder, "--with-colons", "--list-keys", key)
    (public,) = [line.split(":") for line in listed.splitlines() if line.startswith("pub:")]
    created, expires = int(public[5]), int(public[6])
    assert public[3] == "1", "RSA"
    assert 0 < expires - created <= 14 * 86400


def test_metadata_are_compressed_with_gzip(plain, signed):
    for repo in (plain, signed):
        names = {path.name.split("-", 1)[-1] for path in (repo / "repodata").glob("*-*")}
        assert names == {"primary.xml.gz", "filelists.xml.gz", "other.xml.gz"}


def test_without_a_key_nothing_is_signed_and_the_file_says_so(plain):
    assert settings(plain) == {
        "name": NAME,
        "baseurl": BASEURL,
        "enabled": "1",
        "gpgcheck": "0",
        "repo_gpgcheck": "0",
    }
    assert not (plain / PUBLIC_KEY).exists()
    assert not (plain / "repodata/repomd.xml.asc").exists()


def test_with_a_key_packages_and_metadata_have_to_be_signed(signed):
    found = settings(signed)
    assert (found["gpgcheck"], found["repo_gpgcheck"]) == ("1", "1")
    assert found["gpgkey"] == f"{BASEURL}/{PUBLIC_KEY}"


def test_the_signature_of_the_metadata_is_good_until_they_change(signed, tmp_path):
    home = {"GNUPGHOME": str(tmp_path)}
    tmp_path.chmod(0o700)
    run("gpg", "--batch", "--no-autostart", "--import", signed / PUBLIC_KEY, env=home)
    verify = [
        "gpg",
        "--batch",
        "--no-autostart",
        "--verify",
        str(signed / "repodata/repomd.xml.asc"),
        "-",
    ]
    content = (signed / "repodata/repomd.xml").read_bytes()
    for data, good in ((content, True), (content + b" ", False)):
        done = subprocess.run(
            verify, input=data, env={**os.environ, **home}, stderr=subprocess.DEVNULL
        )
        assert (done.returncode == 0) == good


def test_rpm_trusts_the_package_with_the_key_and_not_without(built, signed, tmp_path):
    (package,) = signed.glob("*.rpm")
    for imported in (False, True):
        database = tmp_path / str(imported)
        if imported:
            run("rpm", "--dbpath", database, "--import", signed / PUBLIC_KEY)
        done = subprocess.run(
            ["rpm", "--dbpath", str(database), "-Kv", str(package)],
            stdout=subprocess.PIPE,
            universal_newlines=True,
        )
        assert "V4 RSA/SHA256 Signature" in done.stdout
        assert (done.returncode == 0) == imported
    # The package that `make rpm` built stays unsigned.
    assert "Signature" not in run("rpm", "-Kv", built.binary)
