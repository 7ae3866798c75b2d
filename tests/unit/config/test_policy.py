"""The policy: which values a namespace has to have, and by which rule."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.config import policy
from ipvsd.config.options import BUILT_IN
from ipvsd.config.parser import ConfigError, Source, parse
from ipvsd.config.policy import Rules, rules_for
from ipvsd.model import HOST_NAME, Namespace, Owner

RUN = "net.ipv4.vs.run_estimation"
SYNC = "net.ipv4.vs.sync_threshold"
ID = "3f2a" + "0" * 60

HOST = Namespace(4, 4026531840, HOST_NAME)
WEB = Namespace(4, 1, "web1", Owner(mounts=("/run/netns/web1",)))
SWARM = Namespace(4, 2, "/run/docker/netns/lb_x", Owner(mounts=("/run/docker/netns/lb_x",)))
POD = Namespace(
    4, 3, "container 3f2a00000000", Owner((), "/kubepods/pod1/" + ID, ID, "", 7, "pause")
)
SERVICE = Namespace(
    4, 4, "a@1.service", Owner((), "/system.slice/a@1.service", "", "a@1.service", 9, "a")
)
# Made with `ip netns add host`: see netns_owner.namespace_name.
FALSE_HOST = Namespace(4, 5, "/run/netns/host", Owner(mounts=("/run/netns/host",)))
UNKNOWN = Namespace(4, 6, "net:[6]")
LINKED = Namespace(4, 7, "a", Owner(links=("/run/netns/a", "/run/netns/vm")))
ELSEWHERE = Namespace(4, 8, "net:[8]", Owner(mounts_elsewhere=(("/run/netns/lb_x", 7),)))
DEFAULT = (RUN, "0", BUILT_IN, "")
ALL = (HOST, WEB, SWARM, POD, SERVICE, FALSE_HOST, UNKNOWN, LINKED, ELSEWHERE)
OTHERS = ALL[1:]


def configured(text):
    return parse([Source("guard.conf", text)]).policy


def matching(selector):
    wanted = configured("[sysctl " + selector + "]\n" + RUN + "=1\n")
    return tuple(one for one in ALL if rules_for(wanted, one).settings[0].wanted == "1")


@pytest.mark.parametrize(
    "why, selector, expected",
    [
        ("the name", "name:web1", (WEB,)),
        ("a glob", "name:web*", (WEB,)),
        ("one character", "name:web?", (WEB,)),
        ("one of several", "name:web[0-9]", (WEB,)),
        ("none of several", "name:web[!0-9]", ()),
        ("only a whole name", "name:web", ()),
        ("case counts", "name:WEB1", ()),
        ("a mount's path", "name:/run/netns/web1", (WEB,)),
        ("a mount's file name, whatever the folder", "name:lb_*", (SWARM,)),
        ("a link's file name", "name:vm", (LINKED,)),
        ("a link's path", "name:/run/netns/vm", (LINKED,)),
        ("the host", "name:host", (HOST,)),
        ("a glob never means the host", "name:*", OTHERS),
        ("nor does a glob like its name", "name:hos[t]", (FALSE_HOST,)),
        ("another namespace named host, by its path", "name:/run/netns/host", (FALSE_HOST,)),
        ("a cgroup", "cgroup:/kube*", (POD,)),
        ("an unknown cgroup matches nothing", "cgroup:*", (POD, SERVICE)),
        ("a whole id", "container:" + ID, (POD,)),
        ("a short id", "container:3f2a", (POD,)),
        ("another container's id", "container:3f2b", ()),
        ("any container", "container:*", (POD,)),
        ("a unit", "unit:a@*.service", (SERVICE,)),
        ("only a whole unit name", "unit:a@1", ()),
        ("a name is no container", "container:lb_x", ()),
    ],
)
def test_selectors(why, selector, expected):
    assert matching(selector) == expected, why


NSPAWN = Owner((), "/machine.slice/x", "", "systemd-nspawn@web.service", 7, "init")
LXC = Owner((), "/system.slice/lxc@db.service", "", "lxc@db.service", 7, "init")


@pytest.mark.parametrize(
    "why, name, owner, selector, expected",
    [
        (
            "a unit",
            "machine web",
            NSPAWN._replace(engine="machine", container_name="web"),
            "name:systemd-nspawn@web.service",
            True,
        ),
        (
            "a unit below a link",
            "web",
            NSPAWN._replace(links=("/run/netns/web",)),
            "name:systemd-nspawn@*",
            True,
        ),
        (
            "LXC",
            "lxc db",
            LXC._replace(engine="lxc", container_name="db"),
            "name:lxc@db.service",
            True,
        ),
        (
            "a container",
            "docker web",
            POD.owner._replace(engine="docker", container_name="web"),
            "name:container?3f2a*",
            True,
        ),
        (
            "a process",
            "pod a/b",
            Owner(pid=7, command="pause", engine="kubernetes", part_of="a/b"),
            "name:pid?*?(pause)",
            True,
        ),
        ("nothing known but a link", "a", LINKED.owner, "name:net:*", True),
        (
            "only the one name that 0.2.0 showed: no unit of a container",
            "docker web",
            POD.owner._replace(unit="a.service", engine="docker", container_name="web"),
            "name:a.service",
            False,
        ),
        (
            "nor a unit of a mounted namespace",
            "web",
            NSPAWN._replace(mounts=("/run/netns/web",)),
            "name:systemd-nspawn@web.service",
            False,
        ),
        (
            "a mount elsewhere stays no name",
            "docker web",
            POD.owner._replace(
                engine="docker", container_name="web", mounts_elsewhere=(("/run/netns/lb_x", 7),)
            ),
            "name:*lb_x",
            False,
        ),
        ("the guard's own namespace", "canary", Owner(pid=7), "name:pid?*", False),
    ],
)
def test_a_rule_by_the_name_that_0_2_0_showed_still_matches(why, name, owner, selector, expected):
    wanted = configured("[namespaces]\nexclude = " + selector + "\n")
    assert bool(rules_for(wanted, Namespace(4, 9, name, owner)).excluded_by) is expected, why


@pytest.mark.parametrize(
    "why, text, namespace, expected, rule",
    [
        ("no rules", "", WEB, [DEFAULT], ""),
        (
            "excluded by a selector",
            "[namespaces]\nexclude = unit:x, name:web*\n",
            WEB,
            [],
            "excluded by name:web* (guard.conf:2)",
        ),
        ("another namespace is excluded", "[namespaces]\nexclude = name:x\n", WEB, [DEFAULT], ""),
        ("out of scope", "[namespaces]\nscope = host\n", WEB, [], "excluded by scope = host"),
        ("in scope", "[namespaces]\nscope = host\n", HOST, [DEFAULT], ""),
        (
            "a namespace named host is not the host",
            "[namespaces]\nscope = host\n",
            FALSE_HOST,
            [],
            "excluded by scope = host",
        ),
        (
            "the host can be excluded",
            "[namespaces]\nexclude = name:host\n",
            HOST,
            [],
            "excluded by name:host (guard.conf:2)",
        ),
        (
            "the host is excluded only by its name",
            "[namespaces]\nexclude = name:*\n",
            HOST,
            [DEFAULT],
            "",
        ),
        (
            "a section",
            "[sysctl name:web1]\n" + RUN + "=1\n",
            WEB,
            [(RUN, "1", "guard.conf:2", "name:web1")],
            "name:web1 (guard.conf:1)",
        ),
        (
            "a section's other keys are added, run_estimation first",
            "[sysctl name:web1]\nnet.ipv4.vs.am_droprate=10\n",
            WEB,
            [
                DEFAULT,
                ("net.ipv4.vs.am_droprate", "10", "guard.conf:2", "name:web1"),
            ],
            "name:web1 (guard.conf:1)",
        ),
        (
            "a section with two keys is named once",
            "[sysctl name:web1]\n" + RUN + "=1\n" + SYNC + "=1 2\n",
            WEB,
            [(RUN, "1", "guard.conf:2", "name:web1"), (SYNC, "1 2", "guard.conf:3", "name:web1")],
            "name:web1 (guard.conf:1)",
        ),
        (
            "not guarded there",
            "[sysctl]\n" + SYNC + "=3 50\n[sysctl name:web1]\n" + RUN + "=\n",
            WEB,
            [(SYNC, "3 50", "guard.conf:2", "")],
            "name:web1 (guard.conf:3)",
        ),
        (
            "no key left to guard is not excluded",
            "[sysctl name:web1]\n" + RUN + "=\n",
            WEB,
            [],
            "name:web1 (guard.conf:1)",
        ),
        (
            "the later section wins, and only it is named",
            "[sysctl name:web1]\n" + RUN + "=\n[sysctl name:web*]\n" + RUN + "=1\n",
            WEB,
            [(RUN, "1", "guard.conf:4", "name:web*")],
            "name:web* (guard.conf:3)",
        ),
        (
            "the later section wins for each key by itself",
            "[sysctl name:w*]\n" + SYNC + "=1 2\n" + RUN + "=1\n[sysctl name:we*]\n" + RUN + "=0\n",
            WEB,
            [(RUN, "0", "guard.conf:5", "name:we*"), (SYNC, "1 2", "guard.conf:2", "name:w*")],
            "name:w* (guard.conf:1), name:we* (guard.conf:4)",
        ),
        (
            "an exclusion comes before sections",
            "[sysctl name:web1]\n" + RUN + "=1\n[namespaces]\nexclude = name:web1\n",
            WEB,
            [],
            "excluded by name:web1 (guard.conf:4)",
        ),
    ],
)
def test_verdict(why, text, namespace, expected, rule):
    found = rules_for(configured(text), namespace)
    assert [setting[:4] for setting in found.settings] == expected, why
    assert found.rule == rule, why
    assert bool(found.excluded_by) == rule.startswith("excluded"), why


def test_an_owner_that_becomes_known_changes_the_verdict():
    wanted = configured("[namespaces]\nexclude = container:*\n")
    assert not rules_for(wanted, POD._replace(owner=Owner())).excluded_by
    assert rules_for(wanted, POD).excluded_by


def test_without_a_rule_that_matches_the_settings_are_not_copied():
    for text in ("", "[sysctl name:x]\n" + RUN + "=1\n[namespaces]\nexclude=unit:x\n"):
        wanted = configured(text)
        assert rules_for(wanted, WEB).settings is wanted.settings


def test_a_hostile_path_is_matched_fast():
    match = policy.glob("*a*a*b")
    started = time.perf_counter()
    assert not match("a" * 4096)
    assert time.perf_counter() - started < 1


def test_a_star_matches_line_ends():
    assert policy.glob("a*b*c")("a\nb\nc")


_PATTERN_TEXT = st.text(alphabet="ab*?[]!-^\\.$\n", max_size=12)


def _unlike_fnmatch(pattern):
    """Return whether a pattern has brackets that fnmatch of some Python treats differently."""
    return "[" in pattern and ("*" in pattern.split("[", 1)[1].rpartition("]")[0] or "-" in pattern)


@given(_PATTERN_TEXT, _PATTERN_TEXT)
def test_globs_are_those_of_fnmatch(pattern, text):
    if not _unlike_fnmatch(pattern):
        assert bool(policy.glob(pattern)(text)) == fnmatch.fnmatchcase(text, pattern)


@given(st.text(alphabet="ab*?[]!-^\\&|~z", max_size=12), st.text(max_size=12))
def test_a_glob_is_refused_with_a_reason_or_works_with_any_text(pattern, text):
    try:
        match = policy.glob(pattern)
    except ValueError as error:
        assert "is not a glob" in str(error)
    else:
        match(text)


_HINT = st.one_of(st.sampled_from(["", "host", "a", "/run/netns/a", ID]), st.text(max_size=8))
_NAMESPACES = st.one_of(
    st.sampled_from(ALL),
    st.builds(
        Namespace,
        st.just(4),
        st.just(7),
        _HINT,
        st.builds(Owner, st.lists(_HINT, max_size=3).map(tuple), _HINT, _HINT, _HINT),
    ),
)
_SELECTORS = st.tuples(
    st.sampled_from(policy.KINDS), st.sampled_from(["*", "a*", "?", "host", "3f2a", "/*", "[ab]"])
).map(":".join)
_LINES = st.one_of(
    _SELECTORS.map("[sysctl {}]".format),
    st.sampled_from(["[sysctl]", RUN + "=0", RUN + "=1", RUN + "=", SYNC + "=1 2", SYNC + "="]),
)


@given(
    st.lists(_SELECTORS, max_size=2),
    st.sampled_from(["all", "host"]),
    st.lists(_LINES, max_size=8),
    _NAMESPACES,
)
def test_any_verdict_is_sound(exclusions, scope, lines, namespace):
    head = "[namespaces]\nscope={}\nexclude={}\n[sysctl]\n".format(scope, " ".join(exclusions))
    wanted = configured(head + "\n".join(lines))
    found = rules_for(wanted, namespace)
    keys = [setting.key for setting in found.settings]
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys, key=lambda key: (key != RUN, key))
    assert not (found.excluded_by and found.settings)
    assert found.rule.isprintable()
    assert found.rule or found == Rules(wanted.settings)
    assert all(setting.rule in found.rule for setting in found.settings)


@given(st.sampled_from(policy.KINDS), st.text(max_size=20), _NAMESPACES)
def test_each_selector_that_the_grammar_accepts_can_be_matched(kind, pattern, namespace):
    try:
        wanted = configured(f"[namespaces]\nexclude = {kind}:{pattern}\n")
    except ConfigError:
        return
    rules_for(wanted, namespace)
