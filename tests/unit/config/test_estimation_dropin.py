"""The choice that `ipvsd estimation` keeps in a drop-in, and the command on a fake root."""

import os

import pytest

from ipvsd import cli
from ipvsd.commands.estimation import DROP_IN
from ipvsd.config import estimation_dropin
from ipvsd.config.estimation_dropin import Choice
from ipvsd.config.parser import Source
from ipvsd.model import Exit, Override
from tests.builders import POLICY, RUN

WEB, LB = estimation_dropin.selector("web"), estimation_dropin.selector("name:lb_*")
ON = POLICY._replace(settings=(RUN._replace(wanted="1"),))
NOTHING = POLICY._replace(settings=())
WITH_RULE = POLICY._replace(overrides=(Override(LB, RUN.key, "1", "guard.conf:9"),))

ETC = "etc/ipvs-estoff-guard/conf.d/" + DROP_IN
RUNTIME = "run/ipvs-estoff-guard.conf.d/" + DROP_IN


@pytest.mark.parametrize(
    "word, shown",
    [
        ("web", "name:web"),
        ("host", "name:host"),
        ("/run/docker/netns/ingress_sbox", "name:/run/docker/netns/ingress_sbox"),
        ("lb_*", "name:lb_*"),
        ("container:3f2a", "container:3f2a*"),
        ("unit:docker.service", "unit:docker.service"),
        ("a:b", "name:a:b"),
    ],
)
def test_a_word_of_the_command_line_is_a_name_or_a_selector(word, shown):
    assert str(estimation_dropin.selector(word)) == shown


@pytest.mark.parametrize("word", ["", "a b", "unit:", "x\x1b[2J"])
def test_what_is_no_selector_is_refused_and_cannot_steer_the_terminal(word):
    with pytest.raises(ValueError) as refused:
        estimation_dropin.selector(word)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "why, before, selectors, value, after",
    [
        ("for all", Choice(), [], "1", Choice("1")),
        ("for all ends the single ones", Choice("1", (("name:web", "0"),)), [], "0", Choice("0")),
        ("for one", Choice(), [WEB], "1", Choice(None, (("name:web", "1"),))),
        (
            "the later one stands behind the earlier",
            Choice(None, (("name:web", "1"), ("name:lb_*", "1"))),
            [WEB],
            "0",
            Choice(None, (("name:lb_*", "1"), ("name:web", "0"))),
        ),
        ("twice the same", Choice(), [WEB, WEB], "1", Choice(None, (("name:web", "1"),))),
        ("taken back", Choice("1", (("name:web", "0"),)), [WEB], None, Choice("1")),
        ("all taken back", Choice("1", (("name:web", "0"),)), [], None, Choice()),
    ],
)
def test_what_is_chosen_last_counts(why, before, selectors, value, after):
    assert estimation_dropin.choose(before, selectors, value) == after, why


@pytest.mark.parametrize(
    "why, choice, rest, left",
    [
        ("it is off anyway", Choice("0"), POLICY, Choice()),
        ("it is on elsewhere", Choice("0"), ON, Choice("0")),
        ("it is guarded nowhere else", Choice("0"), NOTHING, Choice("0")),
        ("on", Choice("1"), POLICY, Choice("1")),
        ("one as all", Choice(None, (("name:web", "0"),)), POLICY, Choice()),
        ("one as all that were chosen", Choice("1", (("name:web", "1"),)), POLICY, Choice("1")),
        (
            "one unlike all",
            Choice("1", (("name:web", "0"),)),
            POLICY,
            Choice("1", (("name:web", "0"),)),
        ),
        (
            "one that a rule of the configuration may mean too",
            Choice(None, (("name:web", "0"),)),
            WITH_RULE,
            Choice(None, (("name:web", "0"),)),
        ),
    ],
)
def test_what_the_configuration_says_anyway_is_left_out(why, choice, rest, left):
    assert estimation_dropin.needed(choice, rest) == left, why


@pytest.mark.parametrize(
    "choice", [Choice(), Choice("1"), Choice("0", (("name:web", "1"), ("container:3f*", "0")))]
)
def test_what_is_written_is_read_back(choice):
    text = estimation_dropin.render(choice)
    assert estimation_dropin.parse([Source("x", text)] if text else []) == choice
    assert (text == "") is (choice == Choice())


@pytest.fixture
def run(root, capsys):
    def call(*arguments):
        code = cli.main(["--root", root.path, "estimation", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def exists(root, name):
    return os.path.exists(root.join(name))


def test_on_and_off_are_written_applied_and_taken_back(root, run):
    root.load_ip_vs(run_estimation="0")
    code, out, err = run("on")
    assert (code, err, root.get()) == (Exit.AS_WANTED, "", "1")
    assert f"{root.join(ETC)}: written" in out and "a spike that decays" in out
    code, out, _ = run("on")
    assert "says so already" in out
    code, out, _ = run("off")
    assert (code, root.get(), exists(root, ETC)) == (Exit.AS_WANTED, "0", False)
    assert f"{root.join(ETC)}: removed" in out and "stand still" in out


def test_until_the_next_boot_wins_and_a_lasting_choice_ends_it(root, run):
    root.load_ip_vs()
    run("on")
    assert run("off", "--runtime")[0] == Exit.AS_WANTED
    assert root.get() == "0" and exists(root, ETC) and exists(root, RUNTIME)
    assert run("on")[0] == Exit.AS_WANTED
    assert root.get() == "1" and exists(root, ETC) and not exists(root, RUNTIME)


def test_before_ip_vs_is_loaded_it_is_written_all_the_same(root, run):
    code, out, _ = run("on")
    assert code == Exit.AS_WANTED and "1 absent" in out and exists(root, ETC)


def test_a_name_that_nothing_has_is_said_and_written(root, run):
    root.load_ip_vs()
    code, out, _ = run("on", "--namespace", "billing")
    assert code == Exit.AS_WANTED and "name:billing: no namespace is called so now" in out
    assert "[sysctl name:billing]" in root.read(ETC)
    assert root.get() == "0"  # the rest is as configured


def test_another_rule_is_named_and_stays(root, run):
    root.load_ip_vs(run_estimation="0")
    root.configure("[sysctl name:host]\nnet.ipv4.vs.run_estimation = 0\n")
    code, out, _ = run("on")
    assert "stays as another rule says: name:host" in out and root.get() == "0"
    assert run("on", "--namespace", "host")[0] == Exit.AS_WANTED
    assert root.get() == "1"


def test_a_wrong_configuration_is_refused_and_nothing_is_written(root, run):
    root.load_ip_vs(run_estimation="0")
    root.configure("[guard]\nmode = maybe\n")
    code, _, err = run("on")
    assert code == Exit.USAGE and "guard.conf:2" in err
    assert root.get() == "0" and not exists(root, ETC)


def test_what_cannot_be_written_is_one_line(root, run):
    root.write(ETC.rpartition("/")[0] + "/." + DROP_IN + ".new/in-the-way", "")
    code, _, err = run("on")
    assert code == Exit.CANNOT_TELL and "nothing was changed" in err and err.count("\n") == 1


def test_until_the_next_boot_needs_the_usual_places(root, capsys):
    arguments = ["--root", root.path, "--config-dir", root.path, "estimation", "on", "--runtime"]
    assert cli.main(arguments) == Exit.USAGE
    assert "--config-dir" in capsys.readouterr().err


def test_a_wrong_name_is_one_line(run):
    code, _, err = run("on", "--namespace", "a b")
    assert code == Exit.USAGE and err.count("\n") == 1


def test_the_value_of_a_key_that_is_not_guarded_is_guarded_from_now_on(root, run):
    root.load_ip_vs()
    root.configure("[sysctl]\nnet.ipv4.vs.run_estimation =\n")
    assert run("off")[0] == Exit.AS_WANTED
    assert root.get() == "0"


def test_other_keys_are_left_to_the_daemon(root, run):
    root.load_ip_vs(run_estimation="0", sync_threshold="3 50")
    root.configure("[sysctl]\nnet.ipv4.vs.sync_threshold = 4 50\n")
    assert run("on")[0] == Exit.AS_WANTED
    assert root.get("sync_threshold") == "3 50"
