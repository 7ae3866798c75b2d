"""`ipvsd apply` with hostile names and values: it prints only text."""

from unittest import mock

from hypothesis import given

from ipvsd.commands import apply
from tests.unit.output_checks import all_namespaces, check_command, encodings, few


@few
@given(all_namespaces, encodings)
def test_apply(loaded_root, now, encoding):
    with mock.patch.object(apply, "check_all", lambda *_a, **_k: now):
        check_command(loaded_root, ["apply"], encoding)
