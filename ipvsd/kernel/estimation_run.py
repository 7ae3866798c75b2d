"""What is known of one estimation run: plain data (pure)."""

from typing import NamedTuple, Optional


class EstimationRun(NamedTuple):
    """One estimation run: the kernel's estimator at work, without a pause."""

    start_ns: int  # monotonic
    duration_ns: int
    cpu: int
    working: Optional[bool] = None  # False for a timer's tick without work, None if unknown
    inode: Optional[int] = None  # of the namespace, None if unknown
    thread: int = 0  # the kernel thread that ran, or the thread that the timer interrupted
