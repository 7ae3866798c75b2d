"""The verdict whether estimation is off, from values and from their effects."""

import pytest

from ipvsd.kernel.ipvs_counters import Counters, Readout
from ipvsd.model import Exit, KeyStatus, NamespaceResult, Reason, State
from ipvsd.verify import judge
from ipvsd.verify.conclusion import Looked
from ipvsd.verify.judge import Totals, Watch, WatchedNamespace
from tests.builders import HOST, LB, POD, RUN, WEB

QUIET = Readout(Counters(1, 1, 1, 1, 1), Counters(1, 1, 1, 1, 1))
BUSY = Readout(Counters(9, 9, 9, 9, 9), Counters(1, 1, 1, 1, 1))
ESTIMATED = Readout(Counters(9, 9, 9, 9, 9), Counters(9, 9, 9, 9, 9))
WATCH = Watch(5 * 10**9, None, {})
ON = RUN._replace(wanted="1", rule="name:web")


def ns_state(namespace, state=State.AS_WANTED, found="0", setting=RUN, after=BUSY, rule=""):
    keys = (KeyStatus(setting, state, found),) if setting is not None else ()
    return WatchedNamespace(NamespaceResult(namespace, Reason.APPLY, rule, keys), QUIET, after)


@pytest.mark.parametrize(
    "before, after, what",
    [
        (QUIET, BUSY, Totals.STILL),
        (QUIET, QUIET, Totals.NO_TRAFFIC),
        (QUIET, ESTIMATED, Totals.MOVED),
        (ESTIMATED, QUIET, Totals.ZEROED),
        (None, BUSY, Totals.UNKNOWN),
        (QUIET, None, Totals.UNKNOWN),
    ],
)
def test_totals(before, after, what):
    result = ns_state(WEB).result
    assert judge.totals(WatchedNamespace(result, before, after)) is what


@pytest.mark.parametrize(
    "why, namespaces, watch, code, problems, notes",
    [
        ("all off", [ns_state(HOST), ns_state(WEB)], WATCH, Exit.AS_WANTED, [], []),
        (
            "one of many is on",
            [ns_state(HOST), ns_state(POD, State.DIFFERS, "1", after=ESTIMATED), ns_state(WEB)],
            WATCH._replace(runs={12: 2}),
            Exit.NOT_AS_WANTED,
            ["run_estimation is 1, to be changed; 2 estimation runs happened"],
            [],
        ),
        (
            "the value is 0 and the totals change",
            [ns_state(HOST, after=ESTIMATED)],
            WATCH._replace(runs=None),
            Exit.NOT_AS_WANTED,
            ["host (net:[4026531840]): its totals change, so estimation runs"],
            [],
        ),
        (
            "the value is 0 and estimation runs",
            [ns_state(HOST, after=QUIET)],
            WATCH._replace(runs={HOST.inode: 1}),
            Exit.NOT_AS_WANTED,
            ["host (net:[4026531840]): 1 estimation run happened"],
            [],
        ),
        (
            "more timers tick than there are namespaces",
            [ns_state(HOST)],
            WATCH._replace(runs=None, unseen=2),
            Exit.NOT_AS_WANTED,
            ["kernel: 2 timers more than there are namespaces with estimation"],
            [],
        ),
        (
            "the namespace that estimates is not found",
            [ns_state(HOST)],
            WATCH._replace(runs={99: 3}),
            Exit.NOT_AS_WANTED,
            ["net:[99]: 3 estimation runs happened, but nothing leads to this namespace"],
            [],
        ),
        (
            "the value cannot be changed",
            [ns_state(HOST), ns_state(POD, State.HIDDEN, "", after=ESTIMATED)],
            WATCH._replace(runs={12: 2}),
            Exit.AS_WANTED,
            [],
            ["hidden, another user namespace owns it, so nobody can switch it off; 2 est"],
        ),
        (
            "the configuration wants it on",
            [
                ns_state(HOST),
                ns_state(WEB, setting=ON, found="1", after=ESTIMATED, rule="name:web (x)"),
            ],
            WATCH._replace(runs={11: 2}),
            Exit.AS_WANTED,
            [],
            ["web (net:[11]): run_estimation is 1, on, name:web (x); 2 estimation runs"],
        ),
        (
            "excluded",
            [ns_state(HOST), ns_state(LB, setting=None, rule="excluded by name:lb_* (x:1)")],
            WATCH,
            Exit.AS_WANTED,
            [],
            ["/run/docker/netns/lb_x (net:[13]): excluded by name:lb_* (x:1)"],
        ),
        (
            "kernel threads are left",
            [ns_state(HOST), ns_state(WEB)],
            WATCH._replace(kthreads=2),
            Exit.NOT_AS_WANTED,
            ["kernel: 2 tasks ipvs-e:* run although estimation is off everywhere"],
            [],
        ),
        (
            "kernel threads run for an unknown namespace",
            [ns_state(HOST)],
            WATCH._replace(runs={None: 5}, kthreads=1),
            Exit.NOT_AS_WANTED,
            ["kernel: 5 estimation runs happened", "kernel: 1 task ipvs-e:* runs"],
            [],
        ),
        (
            "kernel threads run for a namespace that is wanted on",
            [ns_state(HOST), ns_state(WEB, setting=ON, found="1", after=ESTIMATED)],
            WATCH._replace(runs={None: 5}, kthreads=1),
            Exit.AS_WANTED,
            [],
            ["web (net:[11]): run_estimation is 1, on; its totals change"],
        ),
        (
            "the kernel has no such setting",
            [ns_state(HOST, State.UNSUPPORTED, "", after=ESTIMATED)],
            WATCH,
            Exit.UNSUPPORTED,
            ["host (net:[4026531840]): unsupported; its totals change"],
            [],
        ),
        (
            "ip_vs is not loaded",
            [ns_state(HOST, State.ABSENT, "", after=None)],
            WATCH,
            0,
            [],
            ["abs"],
        ),
    ],
)
def test_verdicts(why, namespaces, watch, code, problems, notes):
    judgement = judge.judge(namespaces, watch)
    assert judgement.exit_code == code, why
    for found, wanted in ((judgement.problems, problems), (judgement.notes, notes)):
        assert len(found) == len(wanted), (why, found)
        assert all(part in text for text, part in zip(found, wanted)), (why, found)


def test_the_summary_names_both_methods_and_what_is_unknown():
    namespaces = [ns_state(HOST), ns_state(WEB, after=QUIET), ns_state(POD, State.DIFFERS, "1")]
    assert judge.judge(namespaces, WATCH._replace(kthreads=0)).summary == [
        "method 1, the values: 2 of 3 namespaces are off",
        "method 2, the totals of those: 1 stand still while the CPUs count, "
        "1 prove nothing without traffic",
        "method 2, the threads: 0 tasks ipvs-e:*",
        "method 2, the estimation runs: 0 that did work in 5.0 s",
    ]
    blind = judge.judge([ns_state(HOST)], Watch(1, None, None, "no tracefs"))
    assert blind.summary[-1] == "method 2, the estimation runs: not counted (no tracefs)"


def test_the_document_has_runs_and_totals():
    watch = WATCH._replace(runs={11: 1, None: 2})
    namespaces = [ns_state(WEB, after=ESTIMATED)]
    document = judge.document(namespaces, watch, judge.judge(namespaces, watch))
    assert document["as_wanted"] is False and document["passes"] == 3
    assert document["namespaces"][0]["totals"] == "moved"
    assert document["namespaces"][0]["passes"] == 1


def test_totals_that_were_zeroed_are_no_proof_that_estimation_runs():
    zeroed = ns_state(HOST)._replace(before=ESTIMATED, after=QUIET)
    judgement = judge.judge([zeroed], WATCH)
    assert judgement.problems == [] and judgement.exit_code == Exit.AS_WANTED
    assert "1 prove nothing, since they were zeroed meanwhile" in judgement.summary[1]


def test_estimation_outside_of_the_scope_is_a_note_and_no_stray():
    watch = WATCH._replace(runs={99: 3, None: 1})
    judgement = judge.judge([ns_state(HOST)], watch, Looked.HOST_BY_CHOICE)
    assert judgement.problems == [] and judgement.exit_code == Exit.AS_WANTED
    assert judgement.notes == [
        "net:[99]: 3 estimation runs happened; other namespaces were not looked at",
        "an unknown namespace: 1 estimation run happened; other namespaces were not looked at",
    ]


@pytest.mark.parametrize(
    "looked, code",
    [
        (Looked.EVERYWHERE, Exit.AS_WANTED),
        (Looked.HOST_BY_CHOICE, Exit.AS_WANTED),
        (Looked.HOST_WITHOUT_ROOT, Exit.CANNOT_TELL),
    ],
)
def test_who_may_not_look_everywhere_cannot_tell(looked, code):
    assert judge.judge([ns_state(HOST)], WATCH, looked).exit_code == code
    on = [ns_state(HOST, State.DIFFERS, "1")]
    assert judge.judge(on, WATCH, looked).exit_code == Exit.NOT_AS_WANTED
