"""`make apt-repo`: a repository that apt-get reads, and trusts if the key has signed it."""

import pytest

from tests.packaging.conftest import NAME, ROOT, query, run, version

PACKAGE = f"{NAME}_{version()}-1_all.deb"
KEY = f"{NAME}.asc"


def make_repository(folder, deb, built, key="", **env):
    (midnight,) = query(built.binary, "%{BUILDTIME}")
    script = ROOT / "packaging" / "make-apt-repo.sh"
    run(script, folder, f"file:{folder}", key, deb, env={"SOURCE_DATE_EPOCH": midnight, **env})
    return folder


@pytest.fixture(scope="module")
def plain(deb, built, tmp_path_factory):
    return make_repository(tmp_path_factory.mktemp("apt") / "plain", deb, built)


@pytest.fixture
def signed(deb, built, keys, tmp_path):
    home, key = keys
    return make_repository(tmp_path / "signed", deb, built, key, GNUPGHOME=str(home))


class Apt:
    """This machine's apt-get, with folders of its own, and with one repository only."""

    def __init__(self, folder, repository):
        for name in ("lists/partial", "cache/archives/partial", "sources", "keyrings"):
            (folder / name).mkdir(parents=True)
        self.status = folder / "status"
        self.status.touch()
        self.options = [
            f"-oDir::Etc::SourceParts={folder}/sources",
            "-oDir::Etc::SourceList=/dev/null",
            "-oDir::Etc::Trusted=/dev/null",
            "-oDir::Etc::TrustedParts=/dev/null",
            f"-oDir::State={folder}",
            f"-oDir::State::Lists={folder}/lists",
            f"-oDir::State::Status={self.status}",
            f"-oDir::Cache={folder}/cache",
            "-oAPT::Sandbox::User=root",
        ]
        text = (repository / f"{NAME}.sources").read_text()
        if (repository / KEY).exists():
            (folder / "keyrings" / KEY).write_bytes((repository / KEY).read_bytes())
        text = text.replace("/etc/apt/keyrings", str(folder / "keyrings"))
        (folder / "sources" / f"{NAME}.sources").write_text(text)

    def get(self, *words):
        return run("apt-get", *self.options, "--yes", *words)


@pytest.fixture
def apt(tmp_path):
    return lambda repository: Apt(tmp_path / "apt", repository)


def test_apt_finds_the_package_in_a_signed_repository(signed, apt, deb):
    signed_apt = apt(signed)
    signed_apt.get("update", "--error-on=any")
    shown = signed_apt.get("download", "--print-uris", NAME).split()
    assert shown[0] == f"'file:{signed}/./{PACKAGE}'"
    run("cmp", signed / PACKAGE, deb)


def test_apt_refuses_a_repository_that_was_changed_after_signing(signed, apt):
    run("sed", "-i", "s/^Origin: /&x/", signed / "InRelease")
    with pytest.raises(AssertionError, match="signature"):
        apt(signed).get("update", "--error-on=any")


def test_apt_refuses_a_list_that_is_not_the_signed_one(signed, apt):
    run("sed", "-i", "s/^Priority: /&x/", signed / "Packages")
    run("rm", signed / "Packages.gz")
    with pytest.raises(AssertionError, match="Hash Sum mismatch|unexpected size"):
        apt(signed).get("update", "--error-on=any")


def test_without_a_key_the_sources_file_says_that_all_is_trusted(plain, apt):
    assert "Trusted: yes" in (plain / f"{NAME}.sources").read_text().splitlines()
    assert sorted(path.name for path in plain.iterdir()) == sorted(
        [PACKAGE, "Packages", "Packages.gz", "Release", f"{NAME}.sources"]
    )
    plain_apt = apt(plain)
    plain_apt.get("update")
    assert PACKAGE in plain_apt.get("download", "--print-uris", NAME)


def test_the_same_packages_give_the_same_bytes(plain, deb, built, tmp_path):
    again = make_repository(tmp_path / "again", deb, built)
    run("sed", "-i", f"s|{again}|{plain}|", again / f"{NAME}.sources")
    run("diff", "-r", plain, again)
    (midnight,) = query(built.binary, "%{BUILDTIME}")
    wanted = run("date", "-u", "-d", f"@{midnight}", "+Date: %a, %d %b %Y %H:%M:%S UTC")
    assert wanted.strip() in (again / "Release").read_text().splitlines()


def test_only_files_of_an_earlier_run_are_replaced(plain, deb, built, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    (tmp_path / f"{NAME}_0.0.1-1_all.deb").write_text("old")
    make_repository(tmp_path, deb, built)
    assert (tmp_path / "index.html").read_text() == "mine"
    listed = (tmp_path / "Packages").read_text()
    assert listed.count("Package: ") == 1 and "0.0.1-1" not in listed
    release = (tmp_path / "Release").read_text()
    assert "index.html" not in release, "only what apt reads is listed"
