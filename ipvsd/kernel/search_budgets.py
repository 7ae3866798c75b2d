"""Decides how much of each process a search for hidden namespaces looks at: nobody starves others.

An ordinary user can open millions of descriptors, each of which costs a search some 10 us, and
start thousands of threads.
"""

from typing import Dict, List, Set, Tuple

# Entries: threads, and descriptors, of each process, and both of all processes of a user, in one
# search. A busy proxy has some 10,000 descriptors: of such a process a search sees a part.
OF_PROCESS = 4096
OF_USER = 32768
_ROOT = 0


class Budgets:
    """What is left of the budgets of one search, and where the next one goes on."""

    def __init__(self) -> None:
        self._of_user: Dict[int, int] = {}
        self._resume: Dict[Tuple[int, str], int] = {}
        self._passed_over: Set[int] = set()  # processes that had no turn in the last search
        self._large: List[int] = []
        self._told: Set[int] = set()

    def begin(self) -> None:
        """Begin another search, with full budgets."""
        self._of_user = {}

    def in_order(self, pids: List[int]) -> List[int]:
        """Return processes, first those that had no turn; and forget those that have ended."""
        alive = set(pids)
        self._told &= alive
        self._resume = {key: at for key, at in self._resume.items() if key[0] in alive}
        first, self._passed_over = self._passed_over, set()
        return sorted(pids, key=lambda pid: pid not in first)

    def is_spent(self, pid: int, user: int) -> bool:
        """Return whether a process has to wait for the next search, since its user's is spent."""
        if user != _ROOT and self._of_user.get(user, 0) >= OF_USER:
            self._passed_over.add(pid)
            return True
        return False

    def left(self, pid: int, user: int) -> int:
        """Return how many entries in one folder of a process may be looked at now."""
        if user == _ROOT:
            return OF_PROCESS
        left = max(0, OF_USER - self._of_user.get(user, 0))
        if not left:
            self._passed_over.add(pid)
        return min(OF_PROCESS, left)

    def spend(self, pid: int, user: int, folder: str, entries: int, after: int) -> None:
        """Note that so many entries are looked at, and where the next search goes on; 0 for none.

        A process whose folder holds too much for one search is large.
        """
        self._of_user[user] = self._of_user.get(user, 0) + entries
        self._resume.pop((pid, folder), None)
        if after:
            self._resume[(pid, folder)] = after
        if after and pid not in self._told:
            self._told.add(pid)
            self._large.append(pid)

    def resumes_at(self, pid: int, folder: str) -> int:
        """Return at which entry the search of a folder goes on; 0 is the beginning."""
        return self._resume.get((pid, folder), 0)

    def take_large(self) -> List[int]:
        """Return the processes that were found too large for one search, each only once."""
        large, self._large = self._large, []
        return large
