"""`ipvsd stats` with hostile names: it prints only text."""

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from ipvsd.commands import stats
from ipvsd.kernel.ipvs_counters import Counters, Readout
from tests.unit.output_checks import check_command, encodings, few, namespaces


@few
@given(st.lists(namespaces(), max_size=3), encodings)
def test_stats(loaded_root, found, encoding):
    readouts = {one.identity: (one, Readout(Counters(), Counters())) for one in found}
    no_pause = mock.patch.object(stats.time, "sleep", lambda _seconds: None)
    with no_pause, mock.patch.object(stats, "_readouts", lambda *_a: readouts):
        check_command(loaded_root, ["stats", "--interval", "100ms"], encoding)
