"""The output of ipvsadm(8), as versions 1.28 to 1.31 print it."""

import pytest

from ipvsd.model import Exit, GuardError
from ipvsd.system import ipvsadm
from ipvsd.system.ipvsadm import RealServer, Service, Totals

TEXT = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  192.0.2.1:80                        3       18       12      960      780
  -> 192.0.2.2:80                        1        6        4      320      260
  -> 192.0.2.3:80                        2       12        8      640 18446744073709551615
UDP  [2001:db8:1111:2222:3333:4444:5555:6666]:65535 1 2 3 4 5
FWM  7                                   0        0        0        0        0
FWM  8 IPv6                              5        4        3        2        1
  -> [2001:db8::2]:0                     5        4        3        2        1
"""


def test_services_and_their_real_servers():
    assert ipvsadm.parse(TEXT) == [
        Service(
            "TCP",
            "192.0.2.1:80",
            Totals(3, 18, 12, 960, 780),
            (
                RealServer("192.0.2.2:80", Totals(1, 6, 4, 320, 260)),
                RealServer("192.0.2.3:80", Totals(2, 12, 8, 640, 2**64 - 1)),
            ),
        ),
        Service("UDP", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", Totals(1, 2, 3, 4, 5)),
        Service("FWM", "7", Totals(0, 0, 0, 0, 0)),
        Service(
            "FWM",
            "8 IPv6",
            Totals(5, 4, 3, 2, 1),
            (RealServer("[2001:db8::2]:0", Totals(5, 4, 3, 2, 1)),),
        ),
    ]


def test_without_ipvsadm_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(ipvsadm, "_PATH", str(tmp_path))
    with pytest.raises(GuardError) as raised:
        ipvsadm.check()
    assert raised.value.code == Exit.CANNOT_TELL
    assert str(raised.value).startswith("ipvsadm: not found") and "install" in str(raised.value)


@pytest.mark.parametrize(
    "why, script, expected",
    [
        ("it fails", "exit 1", None),
        ("no services", "exit 0", []),
        ("its options", 'test "$*" = "--list --numeric --exact --stats"', []),
    ],
)
def test_it_is_asked_for_exact_numbers(tmp_path, why, script, expected):
    path = tmp_path / "ipvsadm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    assert ipvsadm.services(str(path)) == expected, why
