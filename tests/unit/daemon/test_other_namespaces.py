"""What the loop hands to the scanner of namespaces, and when."""

from types import SimpleNamespace

import pytest

from ipvsd.daemon.other_namespaces import OtherNamespaces
from ipvsd.daemon.scan_schedule import ScanSchedule
from ipvsd.daemon.visit_queue import VisitQueue
from ipvsd.enforce.memory import Memory
from ipvsd.kernel.netns_births import BirthEvents
from tests.builders import POLICY, WEB


class Scanner:
    """Has found WEB in a look, and would visit it now."""

    def __init__(self, found):
        self.schedule = ScanSchedule()
        self.schedule.rescan_all(1)
        self.visits = VisitQueue()
        self.early = SimpleNamespace(report=lambda _: None)
        self.large = []
        self.scan_complete = False
        self.found = found
        self.seen = None

    def collect(self, _policy):
        self.visits.urgent.update(dict.fromkeys(self.found))

    def give_up_what_hangs(self):
        return ""

    def proceed(self, _policy, _memory, _births_reported):
        self.seen = self.schedule.births.time_ns(WEB.identity)


@pytest.mark.parametrize("found, expected", [([WEB.identity], 7), ([], None)])
def test_what_a_look_has_found_has_its_birth_read_before_it_is_visited(found, expected):
    """It may have been born after the loop was woken, by an earlier birth."""
    reports = [BirthEvents(born={WEB.inode: 7}, tasks={77: 7})]
    sources = SimpleNamespace(
        births_reported=True,
        births_muted=False,
        take_births=lambda _events: reports.pop(),
        mute_births=lambda _muted: None,
        trust=list,
    )
    state = SimpleNamespace(
        policy=POLICY._replace(canary_ns=None),
        memory=Memory(),
        guards_others=True,
        loads_into_others=False,
        new_events=[],
        reloading=False,
    )
    scanner = Scanner(found)
    canary = SimpleNamespace(forget=lambda: None)
    OtherNamespaces(state, scanner, sources, canary, SimpleNamespace()).proceed()
    assert scanner.seen == expected and len(reports) == (not found)
