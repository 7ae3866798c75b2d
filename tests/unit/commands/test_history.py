"""`ipvsd history` with hostile journal entries: it prints only text."""

import json
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from ipvsd.commands import history
from tests.unit.output_checks import check_command, encodings, few, hostile_text


@few
@given(st.lists(hostile_text, min_size=8, max_size=8), encodings)
def test_history(loaded_root, odd, encoding):
    names = ("MESSAGE", "IPVSD_EVENT", "IPVSD_NAMESPACE", "IPVSD_OWNER", "IPVSD_KEY")
    entry = dict(zip(names, odd), __REALTIME_TIMESTAMP="1700000000123456")
    lines = [json.dumps(entry), *odd]
    with mock.patch.object(history.reader, "lines", lambda _since: iter(lines)):
        check_command(loaded_root, ["history"], encoding)
