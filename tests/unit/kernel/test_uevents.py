"""The uevent socket: what is done for each one, and what only once."""

import pytest

from ipvsd.kernel import uevents


def test_the_library_is_searched_for_once_and_not_for_each_replacement(monkeypatch):
    """The search runs programs, for which the loop would wait."""
    library = pytest.importorskip("pyudev._ctypeslib.utils")
    searched, real = [], library.find_library

    def find_library(name):
        searched.append(name)
        return real(name)

    monkeypatch.setattr(library, "find_library", find_library)
    uevents._context.cache_clear()
    for _ in range(3):
        uevents.Monitor().close()
        uevents.Monitor("net", None).close()
    assert searched == ["udev"]
