"""The state of the module ip_vs, on a fake root."""

import os

import pytest

from ipvsd.kernel import module
from ipvsd.model import Module


@pytest.mark.parametrize(
    "why, make, expected",
    [
        ("absent", lambda root: None, Module.ABSENT),
        ("init runs", lambda root: root.load_ip_vs("coming"), Module.COMING),
        ("loaded", lambda root: root.load_ip_vs("live"), Module.LIVE),
        ("exit runs", lambda root: root.load_ip_vs("going"), Module.GOING),
        ("built in", lambda root: root.load_ip_vs(None), Module.BUILT_IN),
        (
            "its folder is just being created or removed",
            lambda root: os.makedirs(root.join("sys/module/ip_vs")),
            Module.ABSENT,
        ),
        ("freed while being read", lambda root: root.load_ip_vs(""), Module.GOING),
    ],
)
def test_module_state(root, why, make, expected):
    make(root)
    assert module.state(root.path) is expected, why
