"""Decides how the place of this host in a staged roll-out is published and described (pure)."""

from typing import Any, Dict, Mapping, Optional

from ipvsd.model import Mode, Share

_PARTS = 10**4


def document(share: Optional[Share]) -> Optional[Dict[str, Any]]:
    """Return the share of the hosts that enforces, and this host's place, both from 0 to 1."""
    if share is None:
        return None
    place = None if share.place is None else share.place / _PARTS
    return {"ratio": share.parts / _PARTS, "place": place, "origin": share.origin}


def sentence(mode: str, share: Mapping[str, Any]) -> str:
    """Return on which side of the share a host is, for a document as above."""
    wanted = f"enforce_share = {share['ratio'] * 100:g}% ({share['origin']})"
    if share["place"] is None:
        return f"this host observes: without a valid /etc/machine-id it has no place in {wanted}"
    does = "enforces" if mode == Mode.ENFORCE.value else "observes"
    where = "inside" if mode == Mode.ENFORCE.value else "outside"
    return f"this host {does}: its place, {share['place'] * 100:.2f}%, is {where} {wanted}"
