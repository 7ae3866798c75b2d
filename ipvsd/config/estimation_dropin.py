"""What `ipvsd estimation on|off` has been told: the text of a drop-in of its own."""

from typing import NamedTuple, Optional, Sequence, Tuple

from ipvsd.config import parser, policy
from ipvsd.config.parser import Source
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.model import Policy, Selector

_HEADER = "# Written by `ipvsd estimation`, which also takes it back. Not to be edited.\n"


class Choice(NamedTuple):
    """The values chosen: one for all namespaces, and others for those that a selector means."""

    everywhere: Optional[str] = None
    selected: Tuple[Tuple[str, str], ...] = ()  # selector and value, the later one wins


def selector(word: str) -> Selector:
    """Return what a word of the command line means: a name, or KIND:GLOB.

    Raises ValueError with a sentence.
    """
    kind, colon, _ = word.partition(":")
    text = word if colon and kind in policy.KINDS else f"name:{word}"
    try:
        return parser.selector(text, "command line")
    except ValueError as error:
        raise ValueError(f"{word!r}: {error}") from error


def parse(sources: Sequence[Source]) -> Choice:
    """Return the choice that a drop-in holds; nothing where there is none."""
    read = parser.parse(sources).policy
    own = [
        s.wanted for s in read.settings if s.key == RUN_ESTIMATION and s.origin != parser.BUILT_IN
    ]
    selected = [(str(o.selector), o.wanted) for o in read.overrides if o.key == RUN_ESTIMATION]
    return Choice(
        own[0] if own else None,
        tuple((shown, wanted) for shown, wanted in selected if wanted is not None),
    )


def choose(before: Choice, selectors: Sequence[Selector], value: Optional[str]) -> Choice:
    """Return the choice after a value was chosen for some namespaces, or for all.

    The last word counts: what was chosen for single namespaces ends with a choice for all. None
    takes back what was chosen.
    """
    if not selectors:
        return Choice(value)
    chosen = [str(one) for one in selectors]
    selected = [(shown, wanted) for shown, wanted in before.selected if shown not in chosen]
    if value is not None:
        selected += [(shown, value) for shown in dict.fromkeys(chosen)]
    return before._replace(selected=tuple(selected))


def needed(choice: Choice, rest: Policy) -> Choice:
    """Return the choice without what the rest of the configuration says anyway."""
    usual = next((s.wanted for s in rest.settings if s.key == RUN_ESTIMATION), None)
    everywhere = choice.everywhere if choice.everywhere != usual else None
    others = any(override.key == RUN_ESTIMATION for override in rest.overrides)
    values = {wanted for _, wanted in choice.selected}
    # One choice may be an exception to another one, so it is all of them or none.
    redundant = not others and values <= {choice.everywhere or usual}
    return Choice(everywhere, () if redundant else choice.selected)


def render(choice: Choice) -> str:
    """Return the drop-in's text, empty when there is nothing to say."""
    sections = [("sysctl", choice.everywhere)] if choice.everywhere is not None else []
    sections += [(f"sysctl {shown}", wanted) for shown, wanted in choice.selected]
    if not sections:
        return ""
    return _HEADER + "".join(
        f"\n[{name}]\n{RUN_ESTIMATION} = {wanted}\n" for name, wanted in sections
    )
