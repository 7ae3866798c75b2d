"""The drop-in in which `ipvsd estimation` keeps a choice."""

import pytest

from ipvsd.config import estimation_dropin
from ipvsd.config.estimation_dropin import Choice
from ipvsd.config.parser import Source
from ipvsd.model import Override
from tests.builders import POLICY, RUN

WEB, LB = estimation_dropin.selector("web"), estimation_dropin.selector("name:lb_*")
ON = POLICY._replace(settings=(RUN._replace(wanted="1"),))
NOTHING = POLICY._replace(settings=())
WITH_RULE = POLICY._replace(overrides=(Override(LB, RUN.key, "1", "guard.conf:9"),))


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
def test_a_wrong_selector_is_refused_and_cannot_steer_the_terminal(word):
    with pytest.raises(ValueError) as refused:
        estimation_dropin.selector(word)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "why, before, selectors, value, after",
    [
        ("for all", Choice(), [], "1", Choice("1")),
        (
            "a choice for all ends single ones",
            Choice("1", (("name:web", "0"),)),
            [],
            "0",
            Choice("0"),
        ),
        ("for one", Choice(), [WEB], "1", Choice(None, (("name:web", "1"),))),
        (
            "the later choice comes after the earlier one",
            Choice(None, (("name:web", "1"), ("name:lb_*", "1"))),
            [WEB],
            "0",
            Choice(None, (("name:lb_*", "1"), ("name:web", "0"))),
        ),
        ("twice the same", Choice(), [WEB, WEB], "1", Choice(None, (("name:web", "1"),))),
        ("one choice is removed", Choice("1", (("name:web", "0"),)), [WEB], None, Choice("1")),
        ("all choices are removed", Choice("1", (("name:web", "0"),)), [], None, Choice()),
    ],
)
def test_the_last_choice_counts(why, before, selectors, value, after):
    assert estimation_dropin.choose(before, selectors, value) == after, why


@pytest.mark.parametrize(
    "why, choice, rest, left",
    [
        ("off by the configuration already", Choice("0"), POLICY, Choice()),
        ("on by the configuration", Choice("0"), ON, Choice("0")),
        ("not guarded by the configuration", Choice("0"), NOTHING, Choice("0")),
        ("on", Choice("1"), POLICY, Choice("1")),
        ("one namespace as all", Choice(None, (("name:web", "0"),)), POLICY, Choice()),
        (
            "one namespace as the choice for all",
            Choice("1", (("name:web", "1"),)),
            POLICY,
            Choice("1"),
        ),
        (
            "one namespace unlike all",
            Choice("1", (("name:web", "0"),)),
            POLICY,
            Choice("1", (("name:web", "0"),)),
        ),
        (
            "one namespace that a rule of the configuration may match too",
            Choice(None, (("name:web", "0"),)),
            WITH_RULE,
            Choice(None, (("name:web", "0"),)),
        ),
    ],
)
def test_a_choice_that_the_configuration_makes_already_is_left_out(why, choice, rest, left):
    assert estimation_dropin.needed(choice, rest) == left, why


@pytest.mark.parametrize(
    "choice", [Choice(), Choice("1"), Choice("0", (("name:web", "1"), ("container:3f*", "0")))]
)
def test_a_choice_that_is_written_is_read_back(choice):
    text = estimation_dropin.render(choice)
    assert estimation_dropin.parse([Source("x", text)] if text else []) == choice
    assert (text == "") is (choice == Choice())
