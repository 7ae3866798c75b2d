"""How figures are made of the bench's samples."""

from tests.vm.bench.figures import percentile


def test_what_never_came_is_above_all():
    assert percentile([3.0, None, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, None, 1.0, 2.0], 75) == 3.0
    assert percentile([3.0, None, 1.0, 2.0], 76) == float("inf")
    assert percentile([5.0], 99) == 5.0
