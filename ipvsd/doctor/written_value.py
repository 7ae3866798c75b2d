"""Decides which value the kernel takes from a text that is written to a sysctl (pure)."""

import re
from typing import List, Optional, Tuple

from ipvsd.config import sysctl_values

# proc_get_long() (kernel/sysctl.c): a number in C's notation, without a plus, in at most 20
# characters; what follows it must be one of these three. Before it, isspace() is skipped.
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)(?=[ \t\n]|$)", re.ASCII)
_NUMBER_MAX = 20
_SPACES = " \t\n\v\f\r"
_INT_MAX = 2**31
# Keys of more than one number (vs_vars[] in net/netfilter/ipvs/ip_vs_ctl.c). All others take the
# first number, and ignore the rest of the text.
_NUMBERS = {sysctl_values.TREE + "sync_threshold": 2}
_CPU_LISTS = (sysctl_values.TREE + "est_cpulist",)


def taken(key: str, text: str) -> Optional[str]:
    """Return the value that a key has after a text was written to it, None if that fails.

    The write fails with EINVAL if the text does not begin with a number. `0 # text`, `00` and `0x0`
    are 0; `"0"`, `0;` and `+0` are refused.
    """
    if key in _CPU_LISTS:
        return text.strip(_SPACES)
    numbers: List[str] = []
    rest = text.lstrip(_SPACES)
    while len(numbers) < _NUMBERS.get(key, 1):
        number = _first(rest)
        if number is None:
            break
        numbers.append(str(number[0]))
        rest = rest[number[1] :].lstrip(_SPACES)
    return " ".join(numbers) or None


def _first(text: str) -> Optional[Tuple[int, int]]:
    """Return the number at the beginning of a text, and its length."""
    match = _NUMBER.match(text)
    if match is None or match.end() > _NUMBER_MAX:
        return None
    digits = match.group().lstrip("-")
    base = 16 if digits[1:2] in ("x", "X") else 8 if digits.startswith("0") else 10
    number = int(digits, base) * (-1 if match.group().startswith("-") else 1)
    return (number, match.end()) if -_INT_MAX <= number < _INT_MAX else None
