"""Configuration: what is taken, what is refused, and the place named in every complaint."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsd.core.config import BUILT_IN, ConfigError, Source, parse
from ipvsd.core.model import NS_PER_S, Exit, Mode, Setting

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
    assert config.policy.mode is Mode.ENFORCE
    assert config.policy.resync_ns == 30 * NS_PER_S
    assert config.policy.settings == (Setting(RUN, "0", BUILT_IN),)
    assert not config.warnings


def test_every_value_knows_its_file_and_line():
    config = read(
        "# head\n\n[guard]\n  mode = observe \n[sysctl]\nnet/ipv4/vs/sync_threshold=3  50\n"
    )
    assert config.policy.mode is Mode.OBSERVE
    assert [option.origin for option in config.options] == ["1.conf:4", BUILT_IN]
    assert config.policy.settings[1] == Setting(SYNC, "3 50", "1.conf:6")


def test_later_files_and_later_lines_win():
    config = read(
        "[guard]\nresync=10s\nresync=20s\n[sysctl]\n" + RUN + "=0\n",
        "[sysctl]\n" + RUN + "=1\n[guard]\nresync = 40s\n",
    )
    assert config.policy.resync_ns == 40 * NS_PER_S
    assert config.policy.settings == (Setting(RUN, "1", "2.conf:2"),)


def test_an_empty_value_goes_back_to_the_default_or_leaves_the_key_alone():
    config = read("[guard]\nmode=observe\n[sysctl]\n" + SYNC + "=3 50\n", "[guard]\nmode=\n")
    assert config.policy.mode is Mode.ENFORCE
    assert read("[sysctl]\n" + RUN + " =\n").policy.settings == ()


def test_run_estimation_comes_first_whatever_the_order():
    config = read("[sysctl]\nnet.ipv4.vs.am_droprate=10\n" + RUN + "=0\n")
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
        ("[sysctl]\nx\x1b[2J = 1\n", "1.conf:2: x\\x1b[2J = 1: is not a key below"),
    ],
)
def test_a_wrong_value_refuses_the_whole_and_names_the_place(text, complaint):
    assert problems(text)[0].startswith(complaint)


def test_all_problems_are_collected_and_the_first_one_says_so():
    found = problems("[guard]\nmode=x\nresync=y\n")
    assert len(found) == 2
    with pytest.raises(ConfigError, match=r"mode = x.*\(and 1 more: ipvsd config --check\)"):
        read("[guard]\nmode=x\nresync=y\n")


@pytest.mark.parametrize(
    "text, warning",
    [
        ("[guard]\nresink=1s\n", "1.conf:2: unknown key resink (did you mean resync?), ignored"),
        ("[gard]\nx\n=\n", "1.conf:1: unknown section [gard] (did you mean guard?), ignored"),
        ("[DEFAULT]\nmode=observe\n", "1.conf:1: unknown section [DEFAULT]"),
        ("[]\n", "1.conf:1: unknown section []"),
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


_LINES = st.lists(
    st.one_of(
        st.sampled_from(
            ["[guard]", "[sysctl]", "[x]", "mode = observe", "resync=5s", RUN + "=0", "#", "", "="]
        ),
        st.text(max_size=30),
    ),
    max_size=12,
)


@given(_LINES)
def test_any_text_is_taken_whole_or_refused_with_places(lines):
    try:
        config = read("\n".join(lines))
    except ConfigError as error:
        said = error.problems
    else:
        said = config.warnings
        assert all(s.key.startswith("net.ipv4.vs.") for s in config.policy.settings)
    assert all(line.startswith("1.conf:") and line.isprintable() for line in said)
