"""Checks whether JSON read from a file has the form that this version writes (pure)."""

import json
from typing import Any, Dict, Iterator, NamedTuple

# The expected form of a value: int, float or str; Maybe; [shape] for a list of any length, and a
# tuple of shapes for a list of that length; {str: shape} for an object with any names, and
# {"name": shape} for an object with at least these names.
Shape = Any

# Integers of 64 bits: nothing that is measured or counted is larger.
_MAX = 2**63


class Maybe(NamedTuple):
    """The shape of a value that is null where it is unknown."""

    shape: Shape


class Newer(NamedTuple):
    """The shape of a field that may be missing, since older versions do not write it."""

    shape: Shape


def load(text: str, shape: Shape) -> Dict[str, Any]:
    """Return the JSON object in a text, which has a shape. Raises ValueError with a sentence."""
    document = parse(text)
    check(document, shape)
    return document


def parse(text: str) -> Dict[str, Any]:
    """Return the JSON object in a text. Raises ValueError with a sentence."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    return document


def check(document: Dict[str, Any], shape: Shape) -> None:
    """Raise ValueError, with a sentence that names the place, if a document has another shape."""
    for place in _misfits(document, shape, "$"):
        raise ValueError(f"is damaged at {place}")


def _misfits(value: Any, shape: Shape, place: str) -> Iterator[str]:
    if isinstance(shape, Newer):
        yield from _misfits(value, shape.shape, place)
    elif isinstance(shape, Maybe):
        if value is not None:
            yield from _misfits(value, shape.shape, place)
    elif isinstance(shape, dict) and isinstance(value, dict):
        for name in value if str in shape else shape:
            inner = shape[str] if str in shape else shape[name]
            if name in value:
                yield from _misfits(value[name], inner, f"{place}.{name}")
            elif not isinstance(inner, Newer):
                yield f"{place}.{name}"
    elif isinstance(shape, list) and isinstance(value, list):
        for number, one in enumerate(value):
            yield from _misfits(one, shape[0], f"{place}[{number}]")
    elif isinstance(shape, tuple) and isinstance(value, list) and len(value) == len(shape):
        for number, (one, inner) in enumerate(zip(value, shape)):
            yield from _misfits(one, inner, f"{place}[{number}]")
    elif not _is_plain(value, shape):
        yield place


def _is_plain(value: Any, shape: Shape) -> bool:
    if shape is float and type(value) in (int, float):
        return bool(-_MAX < value < _MAX)  # and no NaN
    if type(value) is not shape:
        return False
    return shape is not int or bool(-_MAX < value < _MAX)
