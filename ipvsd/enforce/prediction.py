"""Predicts how long an estimation run takes (pure)."""

from typing import Tuple

# An estimation run reads the counters of every possible CPU for each estimator. Others have
# measured from 35 ns to 52 ns for a counter (268 ms for 50,000 services on 104 CPUs). The commit
# that made estimation switchable, 2232642ec3fb, mentions "more than 200ms" there.
_NS_PER_COUNTER_LOW = 35
_NS_PER_COUNTER_HIGH = 52


def predicted_ns(estimators: int, possible_cpus: int) -> Tuple[int, int]:
    """Return the least and the most time that a run over all estimators is expected to take."""
    counters = estimators * possible_cpus
    return counters * _NS_PER_COUNTER_LOW, counters * _NS_PER_COUNTER_HIGH
