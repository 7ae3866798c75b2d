"""Parsing the configuration: what is accepted and refused, and the place in each message."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipvsd
from ipvsd import cli
from ipvsd.commands.config import _document
from ipvsd.config import until
from ipvsd.config.options import BUILT_IN
from ipvsd.config.parser import ConfigError, Source, parse
from ipvsd.model import (
    NS_PER_S,
    ContestPolicy,
    Exit,
    Mode,
    Override,
    Policy,
    Scope,
    Selector,
    Setting,
)

HOME = os.path.dirname(os.path.dirname(ipvsd.__file__))
RUN = "net.ipv4.vs.run_estimation"
SYNC = "net.ipv4.vs.sync_threshold"


def read(*texts):
    return parse([Source(f"{number}.conf", text) for number, text in enumerate(texts, 1)])


def problems(*texts):
    with pytest.raises(ConfigError) as refused:
        read(*texts)
    assert refused.value.code is Exit.USAGE
    return refused.value.problems


def test_nothing_configured_guards_run_estimation():
    config = read()
    assert config.policy == Policy(
        mode=Mode.ENFORCE,
        resync_ns=30 * NS_PER_S,
        settings=(Setting(RUN, "0", BUILT_IN),),
        scope=Scope.ALL,
        exclusions=(),
        overrides=(),
        contest_policy=ContestPolicy.ENFORCE,
        canary_ns=3600 * NS_PER_S,
    )
    assert not config.warnings


def test_every_value_knows_its_file_and_line():
    config = read(
        "# head\n\n[guard]\n  mode = observe \n[sysctl]\nnet/ipv4/vs/sync_threshold=3  50\n"
    )
    assert config.policy.mode is Mode.OBSERVE
    origins = {option.key: option.origin for option in config.options}
    assert origins["mode"] == "1.conf:4" and origins["resync"] == BUILT_IN
    assert config.policy.settings[1] == Setting(SYNC, "3 50", "1.conf:6")


def test_later_files_and_later_lines_win():
    config = read(
        "[guard]\nresync=10s\nresync=20s\n[sysctl]\n" + RUN + "=0\n",
        "[sysctl]\n" + RUN + "=1\n[guard]\nresync = 40s\n",
    )
    assert config.policy.resync_ns == 40 * NS_PER_S
    assert config.policy.settings == (Setting(RUN, "1", "2.conf:2"),)


def test_an_empty_value_restores_the_default_or_leaves_the_key_alone():
    config = read("[guard]\nmode=observe\n[sysctl]\n" + SYNC + "=3 50\n", "[guard]\nmode=\n")
    assert config.policy.mode is Mode.ENFORCE
    assert read("[sysctl]\n" + RUN + " =\n").policy.settings == ()


def test_run_estimation_comes_first_whatever_the_order():
    config = read("[sysctl]\n" + RUN + "=\nnet.ipv4.vs.am_droprate=10\n" + RUN + "=0\n")
    assert [setting.key for setting in config.policy.settings][0] == RUN


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("[guard]\nmode = on\n", "1.conf:2: mode = on: is neither enforce nor observe"),
        ("[guard]\nmode = enforce # why\n", "1.conf:2: mode = enforce # why: is neither"),
        ("[guard]\nresync = 0s\n", "1.conf:2: resync = 0s: is not between 1s and 1h"),
        ("[guard]\nresync = 2h\n", "1.conf:2: resync = 2h: is not between"),
        ("[guard]\nresync = soon\n", "1.conf:2: resync = soon: is not a duration"),
        ("[sysctl]\n" + RUN + " = 2\n", "1.conf:2: " + RUN + " = 2: is neither 0 nor 1"),
        ("[sysctl]\nkernel.panic = 1\n", "1.conf:2: kernel.panic = 1: is not a key below"),
        ("[sysctl]\nkernel.panic =\n", "1.conf:2: kernel.panic = : is not a key below"),
        ("mode = enforce\n", "1.conf:1: mode = enforce: stands before the first [section]"),
        ("[guard]\nmode\n", "1.conf:2: mode: neither [section] nor key = value"),
        ("[guard\nmode=enforce\n", "1.conf:1: [guard: neither"),
        ("[guard]\n= 3\n", "1.conf:2: = 3: neither"),
        ("[guard]\ncanary = 30s\n", "1.conf:2: canary = 30s: is not between 1min and 24h"),
        ("[guard]\ncanary = 25h\n", "1.conf:2: canary = 25h: is not between 1min and 24h"),
        ("[guard]\ncanary = on\n", "1.conf:2: canary = on: is not a duration"),
        ("[guard]\nresync = off\n", "1.conf:2: resync = off: is not a duration"),
        (
            "[guard]\ncontested = no\n",
            "1.conf:2: contested = no: is neither enforce nor yield",
        ),
        ("[metrics]\ntextfile = x.prom\n", "1.conf:2: textfile = x.prom: is not an absolute path"),
        ("[metrics]\ntextfile = /x/y\n", "1.conf:2: textfile = /x/y: does not end in .prom"),
        ("[namespaces]\nscope = own\n", "1.conf:2: scope = own: is neither all nor host"),
        (
            "[namespaces]\nexclude = name:a, nmae:b\n",
            "1.conf:2: exclude = name:a, nmae:b: nmae:b begins with no known kind "
            "(did you mean name?)",
        ),
        (
            "[namespaces]\nexclude = web\n",
            "1.conf:2: exclude = web: web begins with no known kind "
            "(valid: name, cgroup, container, unit)",
        ),
        ("[namespaces]\nexclude = unit:\n", "1.conf:2: exclude = unit:: unit: has no pattern"),
        (
            "[namespaces]\nexclude = name:\x1b[2J\n",
            "1.conf:2: exclude = name:\\x1b[2J: name:\\x1b[2J: write ? for blanks, commas and",
        ),
        (
            "[sysctl foo]\n",
            "1.conf:1: [sysctl foo]: foo begins with no known kind (valid: name, cgroup,",
        ),
        ("[sysctl unti:a]\n", "1.conf:1: [sysctl unti:a]: unti:a begins with no known kind (did"),
        ("[sysctl name:a name:b]\n", "1.conf:1: [sysctl name:a name:b]: name:a name:b: write ?"),
        ("[sysctl name:a,b]\n", "1.conf:1: [sysctl name:a,b]: name:a,b: write ?"),
        ("[sysctl name:a]\n" + RUN + "=2\n", "1.conf:2: " + RUN + " = 2: is neither 0 nor 1"),
        ("[sysctl\tname:a]\nkernel.panic =\n", "1.conf:2: kernel.panic = : is not a key below"),
        ("[sysctl]\nx\x1b[2J = 1\n", "1.conf:2: x\\x1b[2J = 1: is not a key below"),
    ],
)
def test_a_wrong_value_refuses_the_whole_and_names_the_place(text, complaint):
    assert problems(text)[0].startswith(complaint)


@pytest.mark.parametrize(
    "text, complaint",
    [
        (
            "[Guard]\nmode = observe\n",
            "1.conf:2: mode = observe: is in the unknown section [Guard] (did you mean guard?), "
            "and would have no effect",
        ),
        ("[GUARD]\n#x\nMode=observe\n", "1.conf:3: Mode=observe: is in the unknown section"),
        ("[DEFAULT]\ncanary\t= off\n", "1.conf:2: canary\\t= off: is in the unknown section"),
        ("[namespace]\nscope = host\n", "1.conf:2: scope = host: is in the unknown section"),
        ("[x]\nexclude=\n", "1.conf:2: exclude=: is in the unknown section [x]"),
        ("[metric]\ntextfile = /x.prom\n", "1.conf:2: textfile = /x.prom: is in the unknown"),
        ("[sysctls]\n" + RUN + " = 1\n", "1.conf:2: " + RUN + " = 1: is in the unknown section"),
        ("[sysctl:x]\nnet/ipv4/vs/x=1\n", "1.conf:2: net/ipv4/vs/x=1: is in the unknown section"),
    ],
)
def test_a_known_key_in_an_unknown_section_is_refused_with_its_line(text, complaint):
    (problem,) = problems(text)
    assert problem.startswith(complaint)


def test_all_problems_are_collected_and_the_first_one_says_so():
    found = problems("[guard]\nmode=x\nresync=y\n")
    assert len(found) == 2
    with pytest.raises(ConfigError, match=r"mode = x.*\(and 1 more: ipvsd config --check\)"):
        read("[guard]\nmode=x\nresync=y\n")


def test_a_problem_below_a_wrong_section_is_reported_too():
    found = problems("[sysctl foo]\n" + RUN + "=7\n[guard]\nmode=x\n")
    assert [line.split(": ")[0] for line in found] == ["1.conf:1", "1.conf:2", "1.conf:4"]


@pytest.mark.parametrize(
    "text, field, expected",
    [
        ("[guard]\ncanary = off\n", "canary_ns", None),
        ("[guard]\ncanary = 1min\n", "canary_ns", 60 * NS_PER_S),
        ("[guard]\ncanary = off\ncanary =\n", "canary_ns", 3600 * NS_PER_S),
        ("[guard]\ncontested = yield\n", "contest_policy", ContestPolicy.YIELD),
        ("[namespaces]\nscope = host\n", "scope", Scope.HOST),
        ("[namespaces]\nscope = host\nscope =\n", "scope", Scope.ALL),
    ],
)
def test_options_become_the_policy(text, field, expected):
    assert getattr(read(text).policy, field) == expected


@pytest.mark.parametrize(
    "why, written, expected",
    [
        ("a comma", "name:lb_*,unit:a.service", ["name:lb_*", "unit:a.service"]),
        ("a blank", "name:a  name:b\tname:c", ["name:a", "name:b", "name:c"]),
        ("both", ", name:a , name:b,", ["name:a", "name:b"]),
        ("a colon in a pattern", "cgroup:*:cri-*", ["cgroup:*:cri-*"]),
        ("a short id is a beginning", "container:3f2a", ["container:3f2a*"]),
        ("a short id with its star", "container:3f2a*", ["container:3f2a*"]),
        ("a pattern that is no id stays", "container:3f2?", ["container:3f2?"]),
        ("hex digits of another kind are a whole name", "name:cafe", ["name:cafe"]),
    ],
)
def test_exclusions(why, written, expected):
    found = read("[namespaces]\nexclude = " + written + "\n").policy.exclusions
    assert [str(selector) for selector in found] == expected, why
    assert {selector.origin for selector in found} == {"1.conf:2"}


def test_a_later_exclude_replaces_the_earlier_one_and_an_empty_one_removes_it():
    config = read("[namespaces]\nexclude=name:a\n", "[namespaces]\nexclude=name:b\n")
    assert config.policy.exclusions == (Selector("name", "b", "2.conf:2"),)
    assert read("[namespaces]\nexclude=name:a\nexclude=\n").policy.exclusions == ()


def test_sections_with_a_selector_are_overrides_in_their_order():
    a, b = Selector("name", "a", "1.conf:1"), Selector("unit", "b.service", "1.conf:3")
    text = "[sysctl name:a]\n" + RUN + "=1\n[sysctl  unit:b.service ]\n" + RUN + "=\n"
    policy = read(text + "net/ipv4/vs/sync_threshold=3  50\n").policy
    assert policy.settings == (Setting(RUN, "0", BUILT_IN),)
    assert policy.overrides == (
        Override(a, RUN, "1", "1.conf:2"),
        Override(b, RUN, None, "1.conf:4"),
        Override(b, SYNC, "3 50", "1.conf:5"),
    )


def test_the_same_section_again_replaces_its_keys_and_comes_last():
    text = "[sysctl name:a*]\n" + RUN + "=1\n[sysctl name:ab]\n" + RUN + "=\n"
    overrides = read(text, "[sysctl name:a*]\n" + RUN + "=0\n").policy.overrides
    shown = [(str(override.selector), override.wanted) for override in overrides]
    assert shown == [("name:ab", None), ("name:a*", "0")]


@pytest.mark.parametrize(
    "text, warning",
    [
        ("[guard]\nresink=1s\n", "1.conf:2: unknown key resink (did you mean resync?), ignored"),
        ("[gard]\nx\n=\n", "1.conf:1: unknown section [gard] (did you mean guard?), ignored"),
        ("[DEFAULT]\nmoed=observe\n", "1.conf:1: unknown section [DEFAULT]"),
        ("[]\n", "1.conf:1: unknown section []"),
        ("[syctl name:a]\nx\n", "1.conf:1: unknown section [syctl name:a] (did you mean sysctl?)"),
        ("[namespaces]\nexcept=name:a\n", "1.conf:2: unknown key except (did you mean exclude?)"),
        (
            "[guard]\nscope=host\n",
            "1.conf:2: unknown key scope (valid: mode, enforce_share, enforce_salt, resync, "
            "canary, contested, strategy), ignored",
        ),
        (
            "[sysctl name:a]\nnet.ipv4.vs.run_estimatoin = 0\n",
            "1.conf:2: net.ipv4.vs.run_estimatoin is not a key known to this version",
        ),
        (
            "[sysctl]\nnet.ipv4.vs.sync_treshold = 3 50\n",
            "1.conf:2: net.ipv4.vs.sync_treshold is not a key known to this version "
            "(did you mean net.ipv4.vs.sync_threshold?); guarded all the same",
        ),
    ],
)
def test_an_unknown_name_is_a_warning_with_the_nearest_valid_one(text, warning):
    config = read(text)
    assert len(config.warnings) == 1
    assert config.warnings[0].startswith(warning)
    assert config.policy.mode is Mode.ENFORCE


def shipped(*path):
    with open(os.path.join(HOME, *path), encoding="utf-8") as file:
        return file.read()


def test_the_shipped_file_shows_every_option_with_its_default():
    text = shipped("conf", "guard.conf")
    assert without_origins(read(text)) == without_origins(read())
    # Sentences and examples have a blank after their "#".
    config = read(re.sub("(?m)^#(?! |$)", "", text))
    assert without_origins(config) == without_origins(read()) and not config.warnings
    shown = re.findall("(?m)^#([a-z0-9_.]+) =", text)
    assert shown == [option.key for option in read().options] + [RUN]


def test_the_manual_describes_every_option():
    page = shipped("man", "ipvs-estoff-guard.conf.5").split(".SH SECTION [sysctl]")[0]
    described = re.findall(r"(?m)^\.TP\n\.B (\w+)$", page)
    assert described == [option.key for option in read().options]


def without_origins(config):
    policy = config.policy
    return policy._replace(
        settings=[setting[:2] for setting in policy.settings],
        exclusions=[str(selector) for selector in policy.exclusions],
        overrides=[(str(o.selector), o.key, o.wanted) for o in policy.overrides],
    )


def written(document):
    """Make a configuration file of what `ipvsd config --json` prints."""
    lines = []
    for name in ("guard", "namespaces", "sysctl"):
        lines.append(f"[{name}]")
        lines += ["{} = {}".format(key, entry["value"]) for key, entry in document[name].items()]
    if RUN not in document["sysctl"]:
        lines.append(RUN + " =")
    for entry in document["overrides"]:
        lines.append("[sysctl {}]".format(entry["selector"]))
        lines.append("{} = {}".format(entry["key"], entry["value"] or ""))
    return "\n".join(lines)


def test_config_shows_options_and_sections_with_their_places(root, capsys):
    root.unconfigure()
    root.configure(
        "[namespaces]\nexclude = name:lb_*,\tunit:a.service\n"
        "[sysctl name:x]\n" + RUN + "=1\n[sysctl container:3f]\n" + RUN + "=\n"
    )
    assert cli.main(["--root", root.path, "config"]) == Exit.AS_WANTED
    path = root.join("etc/ipvs-estoff-guard/guard.conf")
    assert [re.split("  +", line) for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["mode", "enforce", BUILT_IN],
        ["enforce_share", "100%", BUILT_IN],
        ["enforce_salt", "none", BUILT_IN],
        ["resync", "30s", BUILT_IN],
        ["canary", "1h", BUILT_IN],
        ["contested", "enforce", BUILT_IN],
        ["strategy", "off", BUILT_IN],
        ["cpus", "none", BUILT_IN],
        ["nice", "10", BUILT_IN],
        ["scope", "all", BUILT_IN],
        ["exclude", "name:lb_*, unit:a.service", path + ":2"],
        ["textfile", "none", BUILT_IN],
        ["every", "off", BUILT_IN],
        ["at", "00:00", BUILT_IN],
        [RUN, "0", BUILT_IN],
        [RUN + " in name:x", "1", path + ":4"],
        [RUN + " in container:3f*", "not guarded", path + ":6"],
    ]


def test_config_shows_that_nothing_is_excluded(root, capsys):
    assert cli.main(["--root", root.path, "config"]) == Exit.AS_WANTED
    assert re.search(f"(?m)^exclude +none +{BUILT_IN}$", capsys.readouterr().out)


_SELECTOR = st.sampled_from(["name:lb_*", "cgroup:/kube*", "unit:a.service", "container:3f2a"])
_SYSCTL = st.sampled_from([RUN + "=0", RUN + "=1", RUN + " =", SYNC + " = 3\t50"])
_RIGHT = st.one_of(
    st.sampled_from(["canary = off", "canary=", "mode=observe", "resync = 1min  30"]).map(
        "[guard]\n{}".format
    ),
    st.sampled_from(["scope=host", "exclude ="]).map("[namespaces]\n{}".format),
    st.lists(_SELECTOR).map(" ,\t".join).map("[namespaces]\nexclude={}".format),
    _SYSCTL.map("[sysctl]\n{}".format),
    st.tuples(_SELECTOR, _SYSCTL).map(lambda pair: "[sysctl {}]\n{}".format(*pair)),
)
_TEXT = st.text(max_size=30)
_ANY = st.one_of(
    _RIGHT,
    _TEXT,
    st.sampled_from(["[x]", "[sysctl]", "[namespaces]", "[sysctl x:y]", "scope=x", "#", "="]),
    _TEXT.map("[namespaces]\nexclude = name:{}".format),
    _TEXT.map("[sysctl name:{}]".format),
)


END = "2026-12-01T06:00:00Z"
END_NS = 1796104800 * NS_PER_S
FOR_A_TIME = f"[guard]\nresync=9s\n[until {END}]\n[guard]\nmode=observe\n[sysctl]\n{RUN}=1\n"


def parsed(text, wall_ns):
    return parse([Source("1.conf", text), Source("2.conf", "[guard]\ncanary = off\n")], wall_ns)


@pytest.mark.parametrize("wall_ns, counts", [(0, True), (END_NS - 1, True), (END_NS, False)])
def test_sections_below_until_count_until_then(wall_ns, counts):
    config = parsed(FOR_A_TIME, wall_ns)
    assert config.policy.mode is (Mode.OBSERVE if counts else Mode.ENFORCE)
    (setting,) = config.policy.settings
    assert (setting.wanted, setting.until_ns) == (("1", END_NS) if counts else ("0", None))
    assert config.until_ns == (END_NS if counts else None)
    assert config.policy.resync_ns == 9 * NS_PER_S and config.policy.canary_ns is None
    assert not config.warnings


def test_the_next_end_is_the_first_of_those_to_come():
    text = f"[until 2026-12-01T07:00:00Z]\n[guard]\nresync=9s\n{FOR_A_TIME}"
    assert parsed(text, 0).until_ns == END_NS
    assert parsed(text, END_NS).until_ns == END_NS + 3600 * NS_PER_S


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("[until soon]\n", "1.conf:1: [until soon]: is not a time such as 2026-12-01T06:00:00Z"),
        ("[until 2026-02-30T06:00:00Z]\n", "1.conf:1: [until 2026-02-30T06:00:00Z]: is no time"),
        ("[until]\nmode=observe\n", "1.conf:1: [until]: is not [until TIME]"),
        (f"[guard]\n[until {END}]\nmode=enforce\n", "1.conf:3: mode=enforce: stands before"),
        (f"[until {END}]\n[guard]\nmode=x\n", "1.conf:3: mode = x: is neither"),
    ],
)
def test_a_wrong_until_is_refused_with_its_line(text, complaint):
    assert problems(text)[0].startswith(complaint)


@pytest.mark.parametrize(
    "header",
    [
        "[until]",
        "[ until ]",
        f"[Until {END}]",
        f"[UNTIL {END}]",
        f"[ until {END}]",
        f"[untill {END}]",
        f"[untl {END}]",
        f"[unitl {END}]",
        f"[until:{END}]",
        f"[until={END}]",
        f"[until{END}]",
        f"[while {END}]",
    ],
)
def test_a_misspelt_until_does_not_make_what_follows_permanent(header):
    (problem,) = problems(f"{header}\n[sysctl]\n{RUN} = 1\n")
    assert problem.startswith(f"1.conf:1: {header}: is not [until TIME]")


@pytest.mark.parametrize(
    "header", [f"[until {END}", f"[until {END}] # = on", "[sysctl name:x] # ="]
)
@pytest.mark.parametrize("before", ["", "[guard]\n", "[newer]\n"])
def test_a_header_that_is_not_closed_is_refused(before, header):
    (problem,) = problems(f"{before}{header}\n[sysctl]\n{RUN} = 1\n")
    number = 1 + before.count("\n")
    assert problem == f"1.conf:{number}: {header}: neither [section] nor key = value"


@pytest.mark.parametrize("header", ["[unit x]", "[newer]", "[till]", "[under x]"])
def test_a_section_of_a_newer_version_is_not_taken_for_until(header):
    assert len(read(f"{header}\nx = 1\n").warnings) == 1


@given(st.integers(0, 253402300799 * NS_PER_S))
def test_a_time_is_written_rounded_up_and_read_back(wall_ns):
    read_ns = until.parse(until.render(wall_ns))
    assert 0 <= read_ns - wall_ns < NS_PER_S and read_ns % NS_PER_S == 0


@given(st.lists(_ANY, max_size=8))
def test_any_text_is_taken_whole_or_refused_with_places(lines):
    try:
        config = read("\n".join(lines))
    except ConfigError as error:
        said = error.problems
    else:
        said = config.warnings
        assert all(s.key.startswith("net.ipv4.vs.") for s in config.policy.settings)
        assert all(option.value.isprintable() for option in config.options)
        assert all(str(override.selector).isprintable() for override in config.policy.overrides)
    assert all(line.startswith("1.conf:") and line.isprintable() for line in said)


@given(st.lists(_RIGHT, max_size=8))
def test_what_config_prints_is_read_back_as_the_same(lines):
    config = read("\n".join(lines))
    assert without_origins(read(written(_document(config)))) == without_origins(config)
