"""The built packages, queried with rpm."""

import datetime
import re
import subprocess
import sys
import time

import pytest

from tests.packaging.conftest import NAME, ROOT, build, modules, query, run, version
from tests.packaging.installed_files import FILES, SHARE

SPEC = f"packaging/{NAME}.spec"
LICENSES = ["COPYING.pyudev", "LICENSE", "LICENSE.sdnotify", "LICENSE.six"]


@pytest.fixture(scope="session")
def built_again(built, tmp_path_factory):
    """Build the tarball without git, at another path, later and with another umask."""
    folder = tmp_path_factory.mktemp("again")
    run("tar", "-x", "-f", built.tarball, "-C", folder)
    (tree,) = folder.iterdir()
    return build(tree, folder / "build", built.folder / "sources", umask="077")


@pytest.mark.parametrize("what", ["tarball", "binary", "source"])
def test_a_second_build_gives_the_same_bytes(built, built_again, what):
    run("cmp", getattr(built, what), getattr(built_again, what))


def test_the_build_time_is_in_the_past(built):
    (day,) = re.findall(r"^## \S+ - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)[:1]
    midnight = datetime.datetime.fromisoformat(f"{day}T00:00+00:00").timestamp()
    assert query(built.binary, "%{BUILDTIME}") == [str(int(midnight))]
    assert midnight < time.time()


def test_the_package_is_for_every_architecture_and_readable_by_rpm_4_11(built):
    form = "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{PAYLOADCOMPRESSOR} %{PAYLOADFORMAT}"
    for package, arch in ((built.binary, "noarch"), (built.source, "noarch")):
        assert query(package, form) == [f"{NAME} {version()} 1 {arch} gzip cpio"]
    required = set(query(built.binary, "[%{REQUIRENAME}\n]"))
    assert {name for name in required if name.startswith("rpmlib(")} == {
        "rpmlib(CompressedFileNames)",
        "rpmlib(FileDigests)",
        "rpmlib(PayloadFilesHavePrefix)",
    }


def test_the_files_are_exactly_these(built):
    carried = f"{SHARE}/vendor"
    files = {f"/{name}" for name in FILES}
    files |= {f"/{SHARE}/{name}" for name in modules()}
    documents = (
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "sbom.cdx.json",
        f"{NAME}.dashboard.json",
        f"{NAME}.rules.yml",
    )
    files |= {f"/usr/share/doc/{NAME}/{name}" for name in documents}
    files |= {f"/usr/share/licenses/{NAME}/{name}" for name in LICENSES}
    found = set(query(built.binary, "[%{FILEMODES:perms} %{FILENAMES}\n]"))
    names = {line.split()[1] for line in found if not line.startswith("d")}
    in_vendor = {name for name in names if name.startswith(f"/{carried}/")}
    assert names - in_vendor == files
    assert {name[len(carried) + 2 :].split("/")[0] for name in in_vendor} == {
        "pyudev",
        "sdnotify",
        "six.py",
    }
    assert all(name.endswith(".py") for name in in_vendor)


def test_modes_and_owners_are_plain(built):
    lines = query(
        built.binary, "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]"
    )
    kinds = {line.rsplit(" ", 1)[0] for line in lines}
    assert kinds == {"-rw-r--r-- root root", "-rwxr-xr-x root root", "drwxr-xr-x root root"}
    assert [line.split()[-1] for line in lines if line.startswith("-rwx")] == ["/usr/sbin/ipvsd"]


def test_the_package_owns_its_folders(built):
    lines = query(built.binary, "[%{FILEMODES:perms} %{FILENAMES}\n]")
    folders = {line.split()[1] for line in lines if line.startswith("d")}
    for folder in (f"/etc/{NAME}", f"/etc/{NAME}/conf.d", f"/{SHARE}", f"/{SHARE}/vendor"):
        assert folder in folders
    assert not folders & {"/etc", "/usr/sbin", "/usr/share", "/usr/lib/systemd/system"}


def test_all_configuration_is_kept(built):
    flags = query(built.binary, "[%{FILEFLAGS:fflags} %{FILENAMES}\n]")
    assert [line.split() for line in flags if re.match("[a-z]*[cn]", line.split(" ")[0])] == [
        ["cn", f"/{name}"] for name in sorted(FILES) if name.startswith("etc/")
    ]


def test_licences_and_documents_are_marked(built):
    flags = query(built.binary, "[%{FILEFLAGS:fflags} %{FILENAMES}\n]")
    marked = {"l": set(), "d": set()}
    for line in flags:
        flag, name = line.split(" ")
        if flag in marked and "." not in {name}:
            marked[flag].add(name)
    assert marked["l"] == {f"/usr/share/licenses/{NAME}/{name}" for name in LICENSES}
    assert f"/usr/share/doc/{NAME}/README.md" in marked["d"]
    assert query(built.binary, "%{LICENSE}") == ["Apache-2.0 AND MIT AND LGPL-2.1-or-later"]


def dependencies(package, kind):
    form = f"[%{{{kind}NAME}} %{{{kind}FLAGS:depflags}} %{{{kind}VERSION}}\n]"
    return sorted({" ".join(line.split()) for line in query(package, form)})


def test_the_package_requires_exactly_this(built):
    wanted = ["/bin/sh", f"config({NAME}) = {version()}-1", "python(abi) >= 3.6", "systemd"]
    found = [line for line in dependencies(built.binary, "REQUIRE") if "rpmlib(" not in line]
    assert found == wanted
    assert dependencies(built.binary, "RECOMMEND") == ["python3-psutil", "python3-pyudev"]


def test_the_package_provides_exactly_this(built):
    assert dependencies(built.binary, "PROVIDE") == [
        "bundled(python3-pyudev) = 0.22.0",
        "bundled(python3-sdnotify) = 0.3.2",
        "bundled(python3-six) = 1.17.0",
        f"config({NAME}) = {version()}-1",
        f"{NAME} = {version()}-1",
    ]
    for kind in ("CONFLICT", "OBSOLETE", "SUGGEST", "SUPPLEMENT", "ENHANCE"):
        assert dependencies(built.binary, kind) == []


STUB = """
Name: stub
Version: 1
Release: 1
Summary: Stub
License: MIT
BuildArch: noarch
Provides: systemd /bin/sh python(abi) = {abi}
%description
Stub.
%files
"""


@pytest.mark.parametrize(
    ("abi", "installable"),
    [("3.6", True), ("3.14", True), ("4.0", True), ("3.5", False), ("2.7", False)],
)
def test_python_is_required_as_a_range_of_versions(built, tmp_path, abi, installable):
    (tmp_path / "stub.spec").write_text(STUB.format(abi=abi))
    run("rpmbuild", "-bb", "--define", f"_topdir {tmp_path}", tmp_path / "stub.spec")
    (stub,) = tmp_path.glob("RPMS/*/*.rpm")
    command = ["rpm", "--dbpath", tmp_path / "db", "-i", "--test", stub, built.binary]
    done = subprocess.run(
        [str(word) for word in command], stderr=subprocess.PIPE, universal_newlines=True
    )
    assert (done.returncode == 0) == installable, done.stderr
    assert ("python(abi) >= 3.6 is needed" in done.stderr) == (not installable)


@pytest.mark.parametrize("kind", ["binary", "source"])
def test_nothing_in_the_heads_names_the_machine(built, kind):
    head = run("rpm", "-qp", "--xml", getattr(built, kind))
    for path in (built.folder, ROOT, sys.prefix):
        assert str(path) not in head


def test_nothing_in_the_files_names_the_machine_or_the_day(built, unpacked):
    form = "%{BUILDHOST} %{BUILDTIME} %{VENDOR} [%{FILEMTIMES} ]"
    host, seconds, vendor, *times = query(built.binary, form)[0].split()
    assert (host, vendor) == ("localhost", "(none)")
    assert max(int(time) for time in times) <= int(seconds)
    found = subprocess.run(["grep", "-rlF", str(built.folder), str(unpacked)])
    assert found.returncode == 1


def test_the_source_package_has_all_its_sources(built):
    owners = "[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME}\n]"
    assert set(query(built.source, owners)) == {"-rw-r--r-- root root"}
    assert sorted(query(built.source, "[%{FILENAMES}\n]")) == [
        f"{NAME}-{version()}.tar.gz",
        f"{NAME}.spec",
        "pyudev-0.22.0.tar.gz",
        "sdnotify-0.3.2.tar.gz",
        "six-1.17.0.tar.gz",
    ]


@pytest.mark.parametrize(
    ("system", "release", "weak", "tests", "sbin"),
    [
        (["rhel 7", "dist .el7"], "1.el7", False, False, "/usr/sbin"),
        (["dist .al7"], "1.al7", False, False, "/usr/sbin"),
        (["rhel 7", "dist .al7"], "1.al7", False, False, "/usr/sbin"),
        (["rhel 8", "dist .el8"], "1.el8", True, True, "/usr/sbin"),
        (["dist .al8"], "1.al8", True, True, "/usr/sbin"),
        (["rhel 8", "dist .an8"], "1.an8", True, True, "/usr/sbin"),
        (["rhel 9", "dist .el9"], "1.el9", True, True, "/usr/sbin"),
        (["fedora 40", "dist .fc40"], "1.fc40", True, True, "/usr/sbin"),
        (["rhel 10", "dist .el10"], "1.el10", True, True, "/usr/sbin"),
        (["fedora 43", "dist .fc43", "_sbindir /usr/bin"], "1.fc43", True, True, "/usr/bin"),
    ],
)
def test_the_spec_is_right_for_every_distribution(system, release, weak, tests, sbin):
    defines = [word for macro in system for word in ("--define", macro)]
    spec = run("rpmspec", "-P", *defines, SPEC)
    assert re.findall(r"^Release: +(.*)$", spec, re.M) == [release]
    assert ("\nRecommends:" in spec) == weak
    assert ("-m pytest" in spec) == tests
    assert f"\n{sbin}/ipvsd\n" in spec
    assert "%{" not in spec
    # The scripts are plain shell, and the same whatever macros the building host has.
    scripts = dict(re.findall(r"^%(post|preun|postun)\n(.*?)(?=^%)", spec, re.M | re.S))
    assert sorted(scripts) == ["post", "postun", "preun"]
    assert not any("%" in script for script in scripts.values())
    for script in scripts.values():
        run("sh", "-n", "-c", script)
    assert scripts == dict(
        re.findall(r"^%(post|preun|postun)\n(.*?)(?=^%)", run("rpmspec", "-P", SPEC), re.M | re.S)
    )
    assert not re.search(r"\b(if|and|or|with) +[a-z0-9()-]+\)", spec.split("%description")[0])


def test_a_bundled_release_that_is_not_the_pinned_one_is_refused(built, tmp_path):
    run("rpm", "-i", "--define", f"_topdir {tmp_path}", built.source)
    release = tmp_path / "SOURCES" / "sdnotify-0.3.2.tar.gz"
    content = bytearray(release.read_bytes())
    content[4] ^= 1  # the time in the gzip header: the file still unpacks
    release.write_bytes(bytes(content))
    done = subprocess.run(
        ["rpmbuild", "-bp", "--nodeps", "--define", f"_topdir {tmp_path}", SPEC],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    assert done.returncode != 0
    assert "(%prep)" in done.stdout
