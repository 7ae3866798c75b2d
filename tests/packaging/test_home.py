"""The project's home: nothing is made up, and a release has it wherever it belongs."""

import re
import subprocess

import pytest
import tomllib

from tests.packaging.conftest import HOME, NAME, ROOT, query, run, version

# Other projects' pages. Names below .example.com and .invalid belong to nobody (RFC 2606).
KNOWN_HOSTS = {
    "docs.kernel.org",
    "json-schema.org",
    "systemd.io",
    "www.apache.org",
    "www.debian.org",
}
NOBODYS = re.compile(r"(.*\.)?(example|example\.(com|net|org)|invalid|localhost)(:\d+)?$")


def tar(tree, output, **home):
    run(
        "packaging/source-tarball.sh",
        f"{NAME}-{version()}",
        "1700000000",
        output,
        cwd=tree,
        env={**dict.fromkeys(HOME, ""), **home},
    )
    return output


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Unpack a source tarball of a project whose home is known."""
    folder = tmp_path_factory.mktemp("home")
    run("tar", "-x", "-f", tar(ROOT, folder / "filled.tar.gz", **HOME), "-C", folder)
    return folder / f"{NAME}-{version()}"


def texts():
    """Return the text of each file that a release has, without the tests."""
    listed = run("git", "ls-files", "-c", "-o", "--exclude-standard").splitlines()
    # Pictures name the pages of what has drawn them.
    names = [name for name in listed if not name.startswith("tests/") and name[-4:] != ".svg"]
    return {ROOT / name: (ROOT / name).read_text() for name in names if (ROOT / name).is_file()}


def test_no_address_is_made_up():
    for path, text in texts().items():
        hosts = set(re.findall(r"https?://(?:[^\s/@]*@)?([\w.-]+\.[a-z]{2,}(?::\d+)?)", text))
        hosts |= {host for host in re.findall(r"<[^\s<>@]+@([^\s<>]+)>", text) if "." in host}
        unknown = {host for host in hosts - KNOWN_HOSTS if not NOBODYS.match(host)}
        assert unknown == set(), path


def test_the_home_stands_in_one_place():
    text = (ROOT / "packaging" / "home.mk").read_text()
    for name in HOME:
        (value,) = re.findall(rf"^{name} \?=(.*)$", text, re.M)
        for path, other in texts().items():
            assert not value.strip() or path.name == "home.mk" or value.strip() not in other, path


def test_without_a_home_its_lines_are_left_out(built, deb, unpacked):
    assert query(built.binary, "%{URL}") == ["(none)"]
    assert run("dpkg-deb", "--field", deb, "Homepage").strip() == ""
    catalog = unpacked / f"usr/lib/systemd/catalog/{NAME}.catalog"
    assert "Support:" not in catalog.read_text()
    security = (unpacked / f"usr/share/doc/{NAME}/SECURITY.md").read_text()
    assert "this source tree has none yet" in security


def test_a_release_has_the_home_wherever_it_belongs(filled):
    def text(name):
        return (filled / name).read_text()

    spec = text(f"packaging/{NAME}.spec")
    assert re.findall(r"^URL: +(.*)$", spec, re.M) == [HOME["HOME_URL"]]
    heads = re.findall(r"^\* .*$", spec, re.M)
    assert all(f" {HOME['MAINTAINER']} - " in head for head in heads)
    control = text("packaging/debian/control").splitlines()
    assert f"Homepage: {HOME['HOME_URL']}" in control
    chart = text("deploy/helm/ipvs-estoff-guard/Chart.yaml")
    assert f"home: {HOME['HOME_URL']}" in chart.splitlines()
    assert f"Maintainer: {HOME['MAINTAINER']}" in control
    assert f"Source: {HOME['HOME_URL']}" in text("packaging/debian/copyright").splitlines()
    catalog = text(f"systemd/{NAME}.catalog")
    support = f"Defined-By: {NAME}\nSupport: {HOME['HOME_URL']}\n"
    assert catalog.count(support) == catalog.count("Defined-By:") > 30
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert project["urls"] == {"Home": HOME["HOME_URL"]}
    assert f"<{HOME['SECURITY_CONTACT']}>" in text("SECURITY.md")
    assert "none yet" not in text("SECURITY.md")
    run("rpmspec", "-P", filled / "packaging" / f"{NAME}.spec")


def test_the_tarball_of_a_release_makes_itself_again(filled, tmp_path):
    """And so the same packages: it has the home in home.mk."""
    make = ["make", "-s", "-f", "packaging/source.mk", "SOURCE_DATE_EPOCH=1700000000"]
    output = tmp_path / "sources" / f"{NAME}-{version()}.tar.gz"
    for name in HOME:  # as in a shell in which nobody has set them
        make = ["env", "-u", name, *make]
    run(*make, f"RPM_BUILD={tmp_path}", output, cwd=filled)
    run("cmp", output, filled.parent / "filled.tar.gz")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOME_URL", "guard.example.org"),
        ("HOME_URL", "https://guard.example.org/#top"),
        ("MAINTAINER", "Jo Doe"),
        ("SECURITY_CONTACT", "the boss"),
    ],
)
def test_a_value_of_another_form_is_refused(tmp_path, name, value):
    with pytest.raises(AssertionError, match=f"{name}: .*does not have the form"):
        tar(ROOT, tmp_path / "x.tar.gz", **{name: value})


def test_a_file_that_has_lost_its_place_is_an_error(filled, tmp_path):
    run("cp", "-r", filled, tmp_path / "tree")
    spec = tmp_path / "tree" / "packaging" / f"{NAME}.spec"
    spec.write_text(spec.read_text().replace("License:", "Licence:"))
    done = subprocess.run(
        ["python3", "packaging/fill_home.py", str(tmp_path / "tree")],
        cwd=ROOT,
        env={**HOME, "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert done.returncode != 0
    assert f"{NAME}.spec: no place for HOME_URL" in done.stderr
