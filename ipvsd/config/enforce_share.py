"""Decides on which hosts of a fleet the guard enforces, and on which it observes (pure).

The rule is that of ConditionFraction= of systemd 261: each host has a place among all hosts, from a
hash of its machine-id and a salt, and a share of the hosts is those with the lowest places. A
larger share only adds hosts; another salt gives another order.
"""

import re

from ipvsd.model import Mode, Policy

# One host in ten thousand.
_PARTS = 10**4
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9._-]*", re.ASCII)
# machine-id(5). A host that has not booted yet has the word "uninitialized" there.
_MACHINE_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def parts(text: str) -> int:
    """Return a percentage as ten-thousandths. Raises ValueError with a reason."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueError("is not a percentage such as 10% or 2.5%")
    number = int(match.group(1)) * 100 + int((match.group(2) or "").ljust(2, "0"))
    if number > _PARTS:
        raise ValueError("is more than 100%")
    return number


def salt(text: str) -> str:
    """Return a salt. Raises ValueError with a reason."""
    if not _WORD.fullmatch(text):
        raise ValueError("has other characters than letters, digits, dots, underscores and hyphens")
    return text


def is_machine_id(text: str) -> bool:
    """Return whether the text of /etc/machine-id names a machine."""
    return _MACHINE_ID.fullmatch(text) is not None and bool(text.strip("0"))


def place(machine_id: str, word: str) -> int:
    """Return the place of a host among all hosts, in ten-thousandths."""
    import hashlib  # OpenSSL takes megabytes, and few configurations have a share

    digest = hashlib.sha256(f"{word} {machine_id}".encode("ascii")).digest()
    return int.from_bytes(digest[:8], "big") * _PARTS >> 64


def on_this_host(wanted: Policy, machine_id: str) -> Policy:
    """Return the policy with the mode that this host has in its share of the fleet.

    Without a machine-id the host has no place: it observes, unless all hosts enforce.
    """
    share = wanted.share
    if share is None or wanted.mode is not Mode.ENFORCE or share.parts == _PARTS:
        return wanted._replace(share=None)
    own = place(machine_id, share.salt) if is_machine_id(machine_id) else None
    mode = Mode.ENFORCE if own is not None and own < share.parts else Mode.OBSERVE
    return wanted._replace(mode=mode, share=share._replace(place=own))
