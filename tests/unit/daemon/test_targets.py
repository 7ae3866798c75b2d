"""Why a namespace is visited, and since when its value may be wrong."""

from ipvsd.daemon import targets
from ipvsd.enforce.enforcer import Target
from ipvsd.model import Reason
from tests.builders import HOST, POD, WEB


def test_the_time_of_a_load_is_that_at_which_it_has_reached_the_namespace():
    loaded, other, born = (
        Target(namespace, reason, event_ns=5)
        for namespace, reason in ((WEB, Reason.LOAD), (POD, Reason.LOAD), (HOST, Reason.BIRTH))
    )
    times = {WEB.identity: 7, HOST.identity: 9}
    found = targets.with_times([loaded, other, born], times)
    assert [target.event_ns for target in found] == [7, 5, 5]
