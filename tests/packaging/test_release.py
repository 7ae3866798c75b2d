"""`make release`: everything in one folder, the same each time; refused if its home is unknown."""

import shutil
import sys
import zipfile

import pytest

from tests.packaging.conftest import HOME, NAME, ROOT, run, version

URL = "http://packages.example.com:8080"
STEM = f"{NAME}-{version()}"
DEB = f"{NAME}_{version()}-1_all.deb"
FILES = {
    f"{STEM}.tar.gz",
    f"{STEM}-1.noarch.rpm",
    f"{STEM}-1.src.rpm",
    DEB,
    f"ipvs_estoff_guard-{version()}-py3-none-any.whl",
    "ipvsd.pyz",
    f"{STEM}.tgz",
    "manifest.yaml",
    "sbom.cdx.json",
    "INSTALL.md",
    "SHA256SUMS",
    f"apt/{DEB}",
    "apt/Packages",
    "apt/Packages.gz",
    "apt/Release",
    f"apt/{NAME}.sources",
    f"yum/{STEM}-1.noarch.rpm",
    f"yum/{NAME}.repo",
    "yum/repodata/repomd.xml",
}
IMAGE = f"{STEM}-image.tar"
SIGNED = {"SHA256SUMS.asc", "apt/InRelease", f"apt/{NAME}.asc", "yum/repodata/repomd.xml.asc"}
SIGNED |= {f"yum/RPM-GPG-KEY-{NAME}"}


def release(built, tree, folder, umask="022", env=None, **variables):
    """Run `make release` in a tree, with the bundled releases that are there already."""
    sources = folder / "rpm" / "sources"
    sources.mkdir(parents=True)
    for path in (built.folder / "sources").iterdir():
        if not path.name.startswith(NAME):
            shutil.copy2(path, sources)
    words = {
        "PYTHON": sys.executable,
        "RPM_BUILD": folder / "rpm",
        "RPM_NEEDS": "",
        "RPMBUILD_FLAGS": "--without tests",
        "RELEASE_WORK": folder / "work",
        "RELEASE_DIR": folder / "release",
        **variables,
    }
    make = ["make", "--silent", "--assume-old=setup", "release"]
    make += [f"{name}={value}" for name, value in words.items()]
    run("sh", "-c", f'umask {umask}; exec "$@"', "sh", *make, cwd=tree, env=env)
    return folder / "release"


@pytest.fixture(scope="module")
def released(built, keys, tmp_path_factory):
    """Make a signed release of a project whose home is known."""
    home, key = keys
    env = {"GNUPGHOME": str(home)}
    return release(built, ROOT, tmp_path_factory.mktemp("one"), env=env, GPG_KEY=key, **HOME)


def names(folder):
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".xml.gz")}


def test_a_release_is_complete_signed_and_has_its_checksums(released, keys):
    assert names(released) == FILES | SIGNED | {IMAGE}
    run("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS", cwd=released)
    listed = {line.split()[1] for line in (released / "SHA256SUMS").read_text().splitlines()}
    assert listed >= (FILES | SIGNED | {IMAGE}) - {"SHA256SUMS", "SHA256SUMS.asc"}
    home, _ = keys
    verify = ["gpg", "--homedir", home, "--batch", "--verify", "SHA256SUMS.asc", "SHA256SUMS"]
    run(*verify, cwd=released)


def test_the_packages_have_the_home(released):
    url = run("rpm", "-qp", "--qf", "%{URL} %{PACKAGER}", released / f"{STEM}-1.noarch.rpm")
    assert url == f"{HOME['HOME_URL']} {HOME['MAINTAINER']}"
    fields = run("dpkg-deb", "--field", released / DEB, "Homepage", "Maintainer")
    assert set(HOME.values()) - {HOME["SECURITY_CONTACT"]} == {
        line.partition(": ")[2] for line in fields.splitlines()
    }
    run("lintian", "--allow-root", "--fail-on", "error,warning", released / DEB)
    (wheel,) = released.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"ipvs_estoff_guard-{version()}.dist-info/METADATA").decode()
    assert f"Project-URL: Home, {HOME['HOME_URL']}" in text.splitlines()


def test_the_tarball_of_a_release_gives_the_same_bytes(released, built, tmp_path):
    """At another path, later, with another umask, and without being told the home."""
    run("tar", "-x", "-f", released / f"{STEM}.tar.gz", "-C", tmp_path)
    again = release(built, tmp_path / STEM, tmp_path / "again", umask="077", RELEASE_IMAGE="no")
    assert names(again) == FILES
    assert "The repositories are not signed" in (again / "INSTALL.md").read_text()
    assert IMAGE not in (again / "INSTALL.md").read_text()
    rpm = f"{STEM}-1.noarch.rpm"
    # These have or name a signature.
    differ = {"SHA256SUMS", "INSTALL.md", rpm, f"apt/{NAME}.sources"}
    for name in FILES - differ:
        if not name.startswith("yum/"):
            run("cmp", released / name, again / name)
    # The same head, which has the sums of the rest, without its signature.
    form = "%{SHA256HEADER}"
    assert run("rpm", "-qp", "--qf", form, released / rpm) == run(
        "rpm", "-qp", "--qf", form, again / rpm
    )


def test_the_instructions_name_what_is_there(released):
    text = (released / "INSTALL.md").read_text()
    paths = [word.partition(f"{URL}/")[2] for word in text.split() if word.startswith(f"{URL}/")]
    assert len(paths) == 3
    assert all((released / path).is_file() for path in paths)
    assert "not signed" not in text and "@" not in text.replace(HOME["MAINTAINER"], "")
    for name in (f"yum/{NAME}.repo", f"apt/{NAME}.sources"):
        assert f"{URL}/{name[:3]}\n" in (released / name).read_text()


def test_without_its_home_a_release_is_refused(built, tmp_path):
    with pytest.raises(AssertionError) as refused:
        release(
            built, ROOT, tmp_path, HOME_URL=HOME["HOME_URL"], MAINTAINER="", SECURITY_CONTACT=""
        )
    assert "not known yet: SECURITY_CONTACT MAINTAINER\n" in str(refused.value)
    assert "INTERNAL=yes" in str(refused.value)
    assert not (tmp_path / "release").exists()
