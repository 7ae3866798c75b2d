"""A tour of the namespaces that a policy guards, to read something in each; nothing is written."""

import functools
from typing import Callable, List, NamedTuple, Optional, Tuple, TypeVar

from ipvsd.core.model import Namespace, Policy, Scope
from ipvsd.core.policy import verdict
from ipvsd.kernel import namespaces, netns
from ipvsd.kernel.namespaces import Finder, ways_in
from ipvsd.kernel.netns import Visitor

Result = TypeVar("Result")


class Place(NamedTuple):
    """A namespace other than the host's, and ways into it."""

    namespace: Namespace
    paths: Tuple[str, ...]


class Tour:
    """Makes tours; the threads and descriptors that it needs are given back by close()."""

    def __init__(self, policy: Policy, root: str = "/") -> None:
        """Without root (uid 0) the other namespaces are not to be found."""
        self._policy = policy
        self._finder = Finder(root)
        self._visitor = Visitor()
        self._host = namespaces.own(root)
        self._deep = True  # the first time, and then what is hidden is remembered

    def read(self, read: Callable[[], Result]) -> List[Tuple[Namespace, Optional[Result]]]:
        """Return what a function returns in each namespace, the host's first.

        None where it raises OSError or cannot be entered. Those that the policy excludes, or that
        are gone meanwhile, are left out.
        """
        found = self._visitor.call(functools.partial(self._everywhere, read, self._deep))
        self._deep = False
        return found

    def close(self) -> None:
        """End the tours."""
        self._visitor.close()

    def _everywhere(
        self, read: Callable[[], Result], deep: bool
    ) -> List[Tuple[Namespace, Optional[Result]]]:
        found: List[Tuple[Namespace, Optional[Result]]] = [(self._host, read())]
        if self._policy.scope is Scope.HOST or self._host.inode == 0:
            return found
        for place in find(self._finder, deep):
            namespace = place.namespace
            if verdict(self._policy, namespace).excluded_by:
                continue
            try:
                found.append((namespace, netns.enter(place.paths, namespace.identity, read)))
            except netns.Gone:
                continue
            except OSError:
                found.append((namespace, None))
        return found


def find(finder: Finder, deep: bool) -> List[Place]:
    """Return the namespaces other than the host's: in a job of a netns.Visitor."""
    return [
        Place(finder.describe(identity, holders), ways_in(holders))
        for identity, holders in finder.look(deep).holders.items()
    ]
