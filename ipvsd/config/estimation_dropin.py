"""Parses and writes the text of the drop-in of `ipvsd estimation on|off` (pure)."""

from typing import NamedTuple, Optional, Sequence, Tuple

from ipvsd.config import options, parser, policy
from ipvsd.config.parser import Source
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.model import Policy, Selector

_HEADER = "# Written by `ipvsd estimation`, which also removes it. Do not edit.\n"


class Choice(NamedTuple):
    """The chosen values: one for all namespaces, and others for those that a selector matches."""

    everywhere: Optional[str] = None
    selected: Tuple[Tuple[str, str], ...] = ()  # selector and value; the later one wins


def selector(word: str) -> Selector:
    """Return the selector for a word of the command line: a name, or KIND:GLOB.

    Raises ValueError with a sentence.
    """
    kind, colon, _ = word.partition(":")
    text = word if colon and kind in policy.KINDS else f"name:{word}"
    try:
        return options.selector(text, "command line")
    except ValueError as error:
        raise ValueError(f"{word!r}: {error}") from error


def parse(sources: Sequence[Source]) -> Choice:
    """Return the choice in a drop-in; an empty choice if there is no drop-in."""
    read = parser.parse(sources).policy
    own = [
        s.wanted for s in read.settings if s.key == RUN_ESTIMATION and s.origin != options.BUILT_IN
    ]
    selected = [(str(o.selector), o.wanted) for o in read.overrides if o.key == RUN_ESTIMATION]
    return Choice(
        own[0] if own else None,
        tuple((shown, wanted) for shown, wanted in selected if wanted is not None),
    )


def choose(before: Choice, selectors: Sequence[Selector], value: Optional[str]) -> Choice:
    """Return the choice after the user chose a value for some namespaces, or for all.

    A choice for all namespaces replaces earlier choices for single namespaces. None removes the
    earlier choice.
    """
    if not selectors:
        return Choice(value)
    chosen = [str(one) for one in selectors]
    selected = [(shown, wanted) for shown, wanted in before.selected if shown not in chosen]
    if value is not None:
        selected += [(shown, value) for shown in dict.fromkeys(chosen)]
    return before._replace(selected=tuple(selected))


def needed(choice: Choice, rest: Policy) -> Choice:
    """Return the choice without the values that the rest of the configuration has anyway."""
    usual = next((s.wanted for s in rest.settings if s.key == RUN_ESTIMATION), None)
    everywhere = choice.everywhere if choice.everywhere != usual else None
    others = any(override.key == RUN_ESTIMATION for override in rest.overrides)
    values = {wanted for _, wanted in choice.selected}
    # One choice may be an exception to another one, so all of them are removed, or none.
    redundant = not others and values <= {choice.everywhere or usual}
    return Choice(everywhere, () if redundant else choice.selected)


def render(choice: Choice) -> str:
    """Return the text of the drop-in, empty when no drop-in is needed."""
    sections = [("sysctl", choice.everywhere)] if choice.everywhere is not None else []
    sections += [(f"sysctl {shown}", wanted) for shown, wanted in choice.selected]
    if not sections:
        return ""
    return _HEADER + "".join(
        f"\n[{name}]\n{RUN_ESTIMATION} = {wanted}\n" for name, wanted in sections
    )
