"""Directed graphs with kinds of edges, and the cycles in them."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum


class Kind(Enum):
    WW = "ww"
    """The second transaction replaced a version of the first."""
    WR = "wr"
    """It read a version of the first."""
    RW = "rw"
    """It replaced a version that the first had read."""
    PREDICATE = "rw (predicate)"
    """It wrote what the first, searching, had not found."""
    TIME = "real time"
    """It began after the first had been acknowledged."""


class Graph:
    """Nodes are numbers from 0 on; between two of them there is at most one edge of a kind, each with a reason."""

    def __init__(self, size: int) -> None:
        self.out: list[dict[int, dict[Kind, str]]] = [{} for _ in range(size)]

    def add(self, source: int, target: int, kind: Kind, reason: str = "") -> None:
        if source != target:
            self.out[source].setdefault(target, {}).setdefault(kind, reason)

    def add_node(self) -> int:
        self.out.append({})
        return len(self.out) - 1

    def next(self, node: int, kinds: frozenset[Kind]) -> Iterable[int]:
        return [target for target, edges in self.out[node].items() if not kinds.isdisjoint(edges)]

    def components(self, kinds: frozenset[Kind]) -> list[list[int]]:
        """The strongly connected components of more than one node over edges of these kinds (Tarjan, 1972)."""
        number = [0] * len(self.out)
        lowest = [0] * len(self.out)
        on_stack = bytearray(len(self.out))
        stack: list[int] = []
        found: list[list[int]] = []
        count = 0
        for root in range(len(self.out)):
            if number[root]:
                continue
            work = [(root, iter(self.next(root, kinds)))]
            count += 1
            number[root] = lowest[root] = count
            stack.append(root)
            on_stack[root] = True
            while work:
                node, targets = work[-1]
                for target in targets:
                    if not number[target]:
                        count += 1
                        number[target] = lowest[target] = count
                        stack.append(target)
                        on_stack[target] = True
                        work.append((target, iter(self.next(target, kinds))))
                        break
                    if on_stack[target]:
                        lowest[node] = min(lowest[node], number[target])
                else:
                    work.pop()
                    if work:
                        parent = work[-1][0]
                        lowest[parent] = min(lowest[parent], lowest[node])
                    if lowest[node] == number[node]:
                        component: list[int] = []
                        while not component or component[-1] != node:
                            component.append(stack.pop())
                            on_stack[component[-1]] = False
                        if len(component) > 1:
                            found.append(component)
        return found

    def path(
        self, source: int, target: int, kinds: frozenset[Kind], within: Callable[[int], bool]
    ) -> Sequence[int] | None:
        """The shortest way from one node to another, both included, over nodes that are `within`."""
        before: dict[int, int] = {source: source}
        queue = deque([source])
        while queue:
            node = queue.popleft()
            if node == target:
                path = [node]
                while path[-1] != source:
                    path.append(before[path[-1]])
                return path[::-1]
            for following in self.next(node, kinds):
                if following not in before and within(following):
                    before[following] = node
                    queue.append(following)
        return None
