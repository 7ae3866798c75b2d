"""`ipvsd verify` with hostile names and values: it prints only text."""

from unittest import mock

from hypothesis import given

from ipvsd.commands import verify
from ipvsd.kernel.ipvs_counters import Counters, Readout
from ipvsd.verify.judge import Watch
from tests.unit.output_checks import all_namespaces, check_command, encodings, few


@few
@given(all_namespaces, encodings)
def test_verify(loaded_root, now, encoding):
    quiet = Readout(Counters(), Counters())
    readouts = {seen.namespace.identity: quiet for seen in now.results}
    watched = (readouts, readouts, Watch(5, None, {one.namespace.inode: 2 for one in now.results}))
    with mock.patch.multiple(verify, check_all=lambda *_a, **_k: now, _watch=lambda *_a: watched):
        check_command(loaded_root, ["verify"], encoding)
