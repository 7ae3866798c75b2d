"""`ipvsd status` with hostile names, values and errors: it prints only text."""

from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipvsd.commands import status
from ipvsd.enforce.all_namespaces import AllNamespaces
from ipvsd.model import (
    Exit,
    GuardError,
    KeyStatus,
    Module,
    NamespaceResult,
    Reason,
    State,
)
from tests.builders import RUN, WEB
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


@pytest.mark.parametrize(
    "why, shown, daemons, expected",
    [
        (
            "the kernel refused it",
            "to be changed",
            ("refused", "ERANGE"),
            (State.REFUSED, "ERANGE"),
        ),
        ("the daemon waits", "to be changed", ("held", None), (State.HELD, "")),
        (
            "the daemon has not noticed yet",
            "to be changed",
            ("as wanted", None),
            (State.DIFFERS, ""),
        ),
        ("it is right by now", "as wanted", ("refused", "ERANGE"), (State.AS_WANTED, "")),
        ("an unknown namespace", "to be changed", None, (State.DIFFERS, "")),
    ],
)
def test_the_daemon_knows_why_a_value_differs(why, shown, daemons, expected):
    result = NamespaceResult(WEB, Reason.APPLY, keys=(KeyStatus(RUN, State(shown), "1"),))
    remembered = {}
    if daemons is not None:
        state, detail = daemons
        key = {"key": RUN.key, "state": state, **({"detail": detail} if detail else {})}
        remembered[WEB.identity] = {"keys": [key]}
    (explained,) = status._explained([result], remembered)
    assert [(key.state, key.detail) for key in explained.keys] == [expected], why
