"""Linters of the packaged files: none reports anything."""

import re
import subprocess
import sys

import pytest

from ipvsd.journal import entries
from tests.packaging.conftest import NAME, ROOT, run

PAGES = sorted(path.name for path in (ROOT / "man").iterdir())
VERBS = re.findall(r"(?m)^    ([a-z]+) ", run(sys.executable, "-m", "ipvsd", "--help"))


def test_rpmlint(built):
    command = ["rpmlint", "-c", "packaging/rpmlint.toml", f"packaging/{NAME}.spec"]
    report = run(*command, built.source, built.binary)
    assert "2 packages and 1 specfiles checked; 0 errors, 0 warnings" in report


def test_every_filter_of_rpmlint_names_its_reason():
    text = (ROOT / "packaging" / "rpmlint.toml").read_text()
    filters = re.findall(r'((?:^ +#.*\n)+)? +"(.*)",$', text.split("Filters = [")[1], re.M)
    assert len(filters) >= 1
    for reason, pattern in filters:
        assert reason.strip(), pattern
        assert pattern.startswith("^ipvs-estoff-guard"), pattern
        assert ".*" not in pattern


def test_shellcheck():
    scripts = sorted(str(path) for path in (ROOT / "packaging").glob("*.sh"))
    assert scripts
    run("shellcheck", *scripts)
    run("shellcheck", "--shell=bash", "completions/ipvsd")


def test_scripts_that_are_run_in_place_are_executable():
    modes = {path.name: path.stat().st_mode & 0o111 for path in (ROOT / "packaging").glob("*.sh")}
    not_run = [name for name, mode in modes.items() if not mode]
    assert not_run == ["ipvsd.sh"], "installed with its mode by install.mk"


def test_pages_are_these():
    assert PAGES == ["ipvs-estoff-guard.8", "ipvs-estoff-guard.conf.5", "ipvsd.8"]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "ipvs-estoff-guard.8"])
def test_mandoc(page):
    assert run("mandoc", "-T", "lint", "-W", "style", f"man/{page}") == ""


@pytest.mark.parametrize("page", PAGES)
def test_man(page, unpacked):
    """Pages of the unpacked package, so that the link page finds its target."""
    section = page[-1]
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-M", str(unpacked / "usr/share/man"), "-Tutf8"]
        + [section, page[:-2]],
        env={"MANROFFSEQ": "", "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    plain = re.sub("(?s).\b", "", done.stdout)
    assert "\nNAME\n" in plain


def help_options(*verb):
    text = run(sys.executable, "-m", "ipvsd", *verb, "--help")
    return set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", text))


def choices(verb):
    """Return the words that a verb accepts as its first argument."""
    usage = run(sys.executable, "-m", "ipvsd", verb, "--help").partition("\n\n")[0]
    return {word for words in re.findall(r" {([a-z,]+)}", usage) for word in words.split(",")}


def page_options(text):
    return {
        option.replace("\\-", "-") for option in re.findall(r"\\-\\-[a-z]+(?:\\-[a-z]+)*", text)
    }


def test_the_page_has_every_option_and_no_other():
    page = (ROOT / "man" / "ipvsd.8").read_text()
    known = help_options().union(*(help_options(verb) for verb in VERBS))
    foreign = {"--stats", "--rate", "--now", "--system"}  # of ipvsadm, systemctl and sysctl
    assert page_options(page) - foreign == known
    for verb in VERBS:
        (synopsis,) = [tag for tag in tags(page) if re.match(rf"(\.BR? |\\fB){verb}\b", tag)]
        assert page_options(synopsis) == help_options(verb) - {"--help"}


def tags(page):
    """Return the source of each tag of a page: the line after .TP, which man(7) takes as the tag.

    What follows belongs to the text, even if it were meant to be the rest of the tag.
    """
    return re.findall(r"^\.TP\n(.*)$", page, re.M)


@pytest.mark.parametrize("page", [page for page in PAGES if page != "ipvs-estoff-guard.8"])
def test_no_tag_runs_into_its_text(page):
    """A tag is complete on its source line, and stands on lines of its own when it is long."""
    path = ROOT / "man" / page
    found = tags(path.read_text())
    assert len(found) > 10
    for tag in found:
        for opened, closed in ("[]", "{}", "()"):
            assert tag.count(opened) == tag.count(closed), tag
        assert not tag.endswith("\\"), tag
    rendered = run("mandoc", "-T", "ascii", "-O", "width=80", str(path))
    lines = re.sub("(?s).\b", "", rendered).split("\n")
    for tag in found:
        if not tag.startswith(("\\fB", "Of ")):
            continue
        text = re.sub(r"\\f[BIR]", "", tag).replace("\\-", "-")
        assert is_alone(text, lines), text


def is_alone(text, lines):
    """Return whether a text is on rendered lines that have nothing else, at the indent of tags."""
    for at, line in enumerate(lines):
        joined, more = line.strip(), at + 1
        while text.startswith(joined) and joined != text and more < len(lines):
            joined, more = f"{joined} {lines[more].strip()}", more + 1
        if joined == text and re.match(r" {7}\S", line):
            return True
    return False


def test_no_placeholder_is_left():
    for path in [ROOT / "README.md", *(ROOT / "man").iterdir()]:
        assert re.findall(r"(?m)^@\w+@$", path.read_text()) == [], path


COMPLETE = """
source completions/ipvsd
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_ipvsd
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words):
    return set(complete_lines(*words))


def complete_lines(*words):
    lines = run("bash", "-c", COMPLETE, "bash", "ipvsd", *words).splitlines()
    return {line for line in lines if line}


def complete_in(folder, *words):
    """Complete words in a folder, which the shell enters after it has read the completion."""
    script = COMPLETE.replace("COMP_WORDS", f"cd {folder}; COMP_WORDS", 1)
    return set(run("bash", "-c", script, "bash", "ipvsd", *words).splitlines())


def test_completion_offers_all_options_and_verbs():
    assert complete("") == help_options() | set(VERBS)
    assert complete("--debug", "--root", "status", "") == help_options() | set(VERBS)
    for verb in VERBS:
        assert complete("--root", "/", verb, "") == help_options(verb) | choices(verb)
    assert complete("ap") == {"apply"}
    assert complete("apply", "--d") == {"--dry-run"}


def test_completion_of_events():
    assert complete("history", "--kind", "") == set(entries.KINDS)
    assert complete("history", "--kind", "chan") == {"changed", "changed-many"}
    assert complete("history", "--kind", "=", "chan") == {"changed", "changed-many"}
    assert complete("history", "--kind=chan") == {"--kind=changed", "--kind=changed-many"}
    assert "--since" in complete("history", "--kind", "changed", "")


@pytest.mark.parametrize("option", ["--duration", "--interval", "--since", "--namespace"])
def test_completion_offers_no_option_as_a_value(option):
    assert complete("measure", option, "") == complete("measure", option, "=", "") == set()
    assert "--yes" in complete("measure", option, "1", "")
    assert "--yes" in complete("measure", option, "=", "1", "")


@pytest.mark.parametrize("option", ["--save", "--show", "--plot"])
def test_completion_of_files(tmp_path, option):
    (tmp_path / "one").mkdir()
    (tmp_path / "o two").write_text("")
    begin = f"{tmp_path}/o"
    both = {f"{tmp_path}/one", f"{tmp_path}/o two"}
    assert complete_lines("measure", option, begin) == both
    assert complete_lines("measure", option, "=", begin) == both
    assert complete_lines("measure", f"{option}={begin}") == {f"{option}={one}" for one in both}


@pytest.mark.parametrize("option", ["--root", "--config-dir"])
def test_completion_of_folders_after_an_equals_sign(tmp_path, option):
    """Bash splits words at "=", unless COMP_WORDBREAKS lacks it."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").write_text("")
    assert complete(option, "=", f"{tmp_path}/") == {f"{tmp_path}/one"}
    assert complete(f"{option}={tmp_path}/") == {f"{option}={tmp_path}/one"}
    assert "sys" in {name.strip("/") for name in complete_in("/", option, "=")}
    for words in ((option, "=", "/x"), (f"{option}=/x",)):
        assert complete(*words, "") == help_options() | set(VERBS)
        assert complete(*words, "apply", "--d") == {"--dry-run"}


def test_completion_of_folders(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").write_text("")
    assert complete("--config-dir", f"{tmp_path}/") == {f"{tmp_path}/one"}
