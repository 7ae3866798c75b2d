"""The sentence that `ipvsd verify` ends with: one for each case, each true."""

import pytest

from ipvsd.model import Exit, KeyStatus, NamespaceResult, Reason, State
from ipvsd.verify.conclusion import Looked, conclude
from tests.builders import HOST, LB, POD, RUN, WEB


def one(namespace, state=State.AS_WANTED, found="0", setting=RUN):
    keys = (KeyStatus(setting, state, found),) if setting is not None else ()
    return NamespaceResult(namespace, Reason.APPLY, "", keys)


CHOSEN = RUN._replace(wanted="1", origin="/etc/conf.d/90-estimation.conf:3")
BY_RULE = CHOSEN._replace(rule="name:web", origin="/etc/guard.conf:9")
CHANGED = {"/etc/conf.d/90-estimation.conf": 1_800_000_000 * 10**9}


@pytest.mark.parametrize(
    "why, results, looked, code, text",
    [
        (
            "all off",
            [one(HOST), one(WEB)],
            Looked.EVERYWHERE,
            0,
            "estimation is off in every namespace",
        ),
        (
            "an ordinary user",
            [one(HOST)],
            Looked.HOST_WITHOUT_ROOT,
            Exit.CANNOT_TELL,
            "estimation is off in the host's namespace; the other namespaces were not looked at: "
            "that needs root",
        ),
        (
            "on by choice",
            [one(HOST, found="1", setting=CHOSEN), one(WEB)],
            Looked.EVERYWHERE,
            0,
            "estimation is on because the configuration says so: /etc/conf.d/90-estimation.conf:3 "
            "(file changed 2027-01-15T08:00:00.000Z), in host (net:[4026531840])",
        ),
        (
            "on by a rule, in a file that is gone",
            [one(HOST), one(WEB, found="1", setting=BY_RULE)],
            Looked.EVERYWHERE,
            0,
            "estimation is on because the configuration says so: /etc/guard.conf:9 (file changed "
            "at an unknown time), in web (net:[11])",
        ),
        (
            "on against the configuration",
            [one(HOST, State.DIFFERS, "1"), one(WEB, found="1", setting=CHOSEN)],
            Looked.EVERYWHERE,
            Exit.NOT_AS_WANTED,
            "estimation is NOT off",
        ),
        (
            "on against the configuration, and an ordinary user",
            [one(HOST, State.DIFFERS, "1")],
            Looked.HOST_WITHOUT_ROOT,
            Exit.NOT_AS_WANTED,
            "estimation is NOT off",
        ),
        (
            "some cannot be changed, some are excluded",
            [one(HOST), one(POD, State.HIDDEN, ""), one(LB, setting=None)],
            Looked.EVERYWHERE,
            0,
            "estimation is off wherever it can be and should be, 1 cannot be changed, 1 excluded",
        ),
        (
            "a value cannot be read",
            [one(HOST), one(WEB, State.UNREADABLE, "")],
            Looked.EVERYWHERE,
            Exit.CANNOT_TELL,
            "cannot tell whether estimation is off: a value could not be read",
        ),
        (
            "on by choice, and one that nobody can change",
            [one(HOST, found="1", setting=CHOSEN), one(POD, State.HIDDEN, "")],
            Looked.EVERYWHERE,
            0,
            "estimation is on because the configuration says so: /etc/conf.d/90-estimation.conf:3 "
            "(file changed 2027-01-15T08:00:00.000Z), in host (net:[4026531840]), "
            "1 cannot be changed",
        ),
        (
            "scope = host",
            [one(HOST)],
            Looked.HOST_BY_CHOICE,
            0,
            "estimation is off in the host's namespace; the configuration leaves the others alone "
            "(scope = host)",
        ),
        (
            "off, and wanted on",
            [one(HOST, State.DIFFERS, "0", setting=CHOSEN)],
            Looked.EVERYWHERE,
            Exit.NOT_AS_WANTED,
            "estimation is off, although the configuration wants it on: "
            "/etc/conf.d/90-estimation.conf:3 (file changed 2027-01-15T08:00:00.000Z), in host "
            "(net:[4026531840])",
        ),
        (
            "still loading",
            [one(HOST, State.LOADING, "")],
            Looked.EVERYWHERE,
            Exit.NOT_AS_WANTED,
            "cannot tell yet: ip_vs is still loading",
        ),
        (
            "no ip_vs",
            [one(HOST, State.ABSENT, "")],
            Looked.EVERYWHERE,
            0,
            "ip_vs is not loaded, so nothing is estimated",
        ),
        (
            "no such setting",
            [one(HOST, State.UNSUPPORTED, "")],
            Looked.EVERYWHERE,
            Exit.UNSUPPORTED,
            "estimation cannot be switched off: this kernel has no such setting",
        ),
    ],
)
def test_the_conclusion_is_one_true_sentence(why, results, looked, code, text):
    problems = "on against the configuration" in why
    assert conclude(results, code, problems, looked, CHANGED) == text, why
