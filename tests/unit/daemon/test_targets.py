"""Why a namespace is visited, and since when its value may be wrong."""

from ipvsd.daemon import targets
from ipvsd.enforce import packed
from ipvsd.enforce.enforcer import Target
from ipvsd.enforce.namespace_state import NamespaceState
from ipvsd.model import KeyStatus, NamespaceResult, Reason, State
from tests.builders import HOST, POD, RUN, WEB


def test_the_time_of_a_load_is_that_at_which_it_has_reached_the_namespace():
    loaded, other, born = (
        Target(namespace, reason, event_ns=5)
        for namespace, reason in ((WEB, Reason.LOAD), (POD, Reason.LOAD), (HOST, Reason.BIRTH))
    )
    times = {WEB.identity: 7, HOST.identity: 9}
    found = targets.with_times([loaded, other, born], times)
    assert [target.event_ns for target in found] == [7, 5, 5]


def test_a_new_namespace_that_is_gone_when_it_is_visited_may_still_exist():
    def visited(namespace, state, known=None):
        result = NamespaceResult(namespace, Reason.BIRTH, keys=(KeyStatus(RUN, state, "0"),))
        return Target(namespace, Reason.BIRTH, known), packed.pack_result(result, namespace)

    visits = [
        visited(WEB, State.GONE),
        visited(POD, State.AS_WANTED),
        visited(HOST, State.GONE, NamespaceState(HOST, 0, 0, 0)),
    ]
    batch = [target for target, _ in visits]
    results = [result for _, result in visits]
    assert targets.left(batch, results) == 1
