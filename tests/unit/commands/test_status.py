"""`ipvsd status` with hostile names, values and errors: it prints only text."""

from unittest import mock

from hypothesis import example, given
from hypothesis import strategies as st

from ipvsd.commands import status
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.model import (
    Exit,
    GuardError,
    Module,
)
from tests.unit.output_checks import (
    all_namespaces,
    check,
    check_command,
    daemon_that_says,
    encodings,
    few,
    hostile_text,
    longest,
    run,
)


@few
@example(AllNamespaces(Module.LIVE, ()), "\u0100" * 150, "ascii", [])
@given(all_namespaces, hostile_text, encodings, st.sampled_from([[], ["--all"]]))
def test_status(loaded_root, now, odd, encoding, options):
    with mock.patch.object(status, "check_all", lambda *_a, **_k: now), daemon_that_says(odd):
        check_command(loaded_root, ["status", *options], encoding)


@few
@given(hostile_text, encodings, st.sampled_from([GuardError, ValueError, OSError]))
def test_errors(loaded_root, odd, encoding, kind):
    error = GuardError(odd, Exit.CANNOT_TELL) if kind is GuardError else kind(odd)
    with mock.patch.object(status, "check_all", mock.Mock(side_effect=error)):
        code, out, err = run("--root", loaded_root, "status", encoding=encoding)
    check([out, err], longest(encoding))
    assert (code, out, err.count("\n")) == (5, "", 1)
