"""Plain data read back from a file: whether it has the form that this version writes."""

import json
from typing import Any, Dict, Iterator, NamedTuple

# What a value is to be: int, float or str; Maybe; [shape] for a list of any length and a tuple of
# shapes for one of that length; {str: shape} for any names, {"name": shape} for those at least.
Shape = Any

# Whole numbers of 64 bits: larger ones are nothing that was measured or counted.
_MAX = 2**63


class Maybe(NamedTuple):
    """The shape of what is not always known: null."""

    shape: Shape


class Newer(NamedTuple):
    """The shape of a field that older versions do not write: it may be missing."""

    shape: Shape


def load(text: str, shape: Shape) -> Dict[str, Any]:
    """Return the document of a shape that a JSON text is. Raises ValueError with a sentence."""
    document = parse(text)
    check(document, shape)
    return document


def parse(text: str) -> Dict[str, Any]:
    """Return the JSON object that a text is. Raises ValueError with a sentence."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ValueError("is not a JSON object")
    return document


def check(document: Dict[str, Any], shape: Shape) -> None:
    """Raise ValueError with a sentence where a document does not have a shape."""
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
