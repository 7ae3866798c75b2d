"""Parses and writes the text of the drop-in of `ipvsd estimation on|off` (pure)."""

from typing import NamedTuple, Optional, Sequence, Tuple

from ipvsd.config import options, parser, policy, until
from ipvsd.config.parser import Source
from ipvsd.config.sysctl_values import RUN_ESTIMATION
from ipvsd.model import Policy, Selector

_HEADER = "# Written by `ipvsd estimation`, which also removes it. Do not edit.\n"


class Choice(NamedTuple):
    """The chosen values: one for all namespaces, and others for those that a selector matches."""

    everywhere: Optional[str] = None
    selected: Tuple[Tuple[str, str], ...] = ()  # selector and value; the later one wins
    # Selector (empty: everywhere) and time, of the values that are chosen until a time.
    until: Tuple[Tuple[str, int], ...] = ()


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


def parse(sources: Sequence[Source], wall_ns: int = 0) -> Choice:
    """Return the choice in a drop-in; an empty choice if there is no drop-in.

    What was chosen until a time is left out if that time is over at `wall_ns`.
    """
    read = policy.about(parser.parse(sources, wall_ns).policy, RUN_ESTIMATION)
    own = [one for one in read.settings if one.origin != options.BUILT_IN]
    ends = [("", one.until_ns) for one in own]
    ends += [(str(one.selector), one.until_ns) for one in read.overrides]
    return Choice(
        own[0].wanted if own else None,
        tuple((str(o.selector), o.wanted) for o in read.overrides if o.wanted is not None),
        tuple((shown, end) for shown, end in ends if end is not None),
    )


def choose(
    before: Choice,
    selectors: Sequence[Selector],
    value: Optional[str],
    end_ns: Optional[int] = None,
) -> Choice:
    """Return the choice after the user chose a value for some namespaces, or for all.

    A choice for all namespaces replaces earlier choices for single namespaces. None removes the
    earlier choice.
    """
    chosen = list(dict.fromkeys(str(one) for one in selectors)) or [""]
    until_before = [(shown, end) for shown, end in before.until if shown not in chosen]
    ends = [] if end_ns is None or value is None else [(shown, end_ns) for shown in chosen]
    if not selectors:
        return Choice(value, (), tuple(ends))
    selected = [(shown, wanted) for shown, wanted in before.selected if shown not in chosen]
    if value is not None:
        selected += [(shown, value) for shown in chosen]
    return before._replace(selected=tuple(selected), until=tuple(until_before + ends))


def needed(choice: Choice, rest: Policy) -> Choice:
    """Return the choice without the values that the rest of the configuration has anyway."""
    usual = next((s.wanted for s in rest.settings if s.key == RUN_ESTIMATION), None)
    everywhere = choice.everywhere if choice.everywhere != usual else None
    others = any(override.key == RUN_ESTIMATION for override in rest.overrides)
    values = {wanted for _, wanted in choice.selected}
    # One choice may be an exception to another one, so all of them are removed, or none.
    redundant = not others and values <= {choice.everywhere or usual}
    return choice._replace(everywhere=everywhere, selected=() if redundant else choice.selected)


def render(choice: Choice) -> str:
    """Return the text of the drop-in, empty when no drop-in is needed."""
    chosen = [("", choice.everywhere)] if choice.everywhere is not None else []
    chosen += list(choice.selected)
    if not chosen:
        return ""
    # [until] is about the sections behind it.
    chosen.sort(key=lambda one: one[0] in dict(choice.until))
    return _HEADER + "".join(_section(choice, *one) for one in chosen)


def _section(choice: Choice, shown: str, wanted: Optional[str]) -> str:
    end = dict(choice.until).get(shown)
    head = "" if end is None else f"\n[until {until.render(end)}]"
    return f"{head}\n[{f'sysctl {shown}'.rstrip()}]\n{RUN_ESTIMATION} = {wanted}\n"
