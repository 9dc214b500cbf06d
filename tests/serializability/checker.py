"""Finds what in a history no serial order can explain.

Names of anomalies are those of Adya, "Weak Consistency" (MIT, 1999); the way from lists and registers to dependencies
is that of Kingsbury and Alvaro, "Elle" (VLDB 2020). Cycles that need an edge of real time end in "-realtime": they
break strict serializability only.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from .footprint import Footprint, footprint
from .graph import Graph, Kind
from .history import NOTHING, History, Outcome, Scan, Seen, version_of
from .versions import Document, Versions, versions_of

CYCLES_MAX: Final = 10
"""How many of each kind are told: one is enough to look into."""

_DEPENDS: Final = frozenset({Kind.WW, Kind.WR})
_ALL: Final = frozenset({Kind.WW, Kind.WR, Kind.RW, Kind.PREDICATE})
_AGAINST: Final = frozenset({Kind.RW, Kind.PREDICATE})
_SMALL: Final = 64
"""Nodes of a component in which the shortest cycle is looked for; in larger ones any is good enough."""
_TRIES_MAX: Final = 500


@dataclass(frozen=True)
class Anomaly:
    kind: str
    story: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.story}"


def check(history: History) -> list[Anomaly]:
    """What is wrong with a history; nothing if it is strictly serializable, as far as what was read can tell."""
    versions = versions_of(history)
    footprints = [footprint(transaction) for transaction in history]
    graph = _dependencies(history, versions, footprints)
    names = [transaction.name for transaction in history]
    cycles = _cycles(graph, names, real_time=False)
    if not cycles:
        _add_real_time(graph, history)
        cycles = _cycles(graph, names, real_time=True)
    return [*_values(history, versions, footprints), *cycles]


# --- single values


def _values(history: History, versions: Versions, footprints: Sequence[Footprint]) -> Generator[Anomaly]:
    for place, (transaction, found) in enumerate(zip(history, footprints, strict=True)):
        for story in found.broken:
            yield Anomaly("internal", f"{transaction.name}: {story}")
        for document, seen, _ in found.reads:
            for kind, version in _wrong(seen, place, versions):
                yield Anomaly(kind, f"{transaction.name} saw {version} in {document}: {seen}")
    for document, one, other in versions.conflicting:
        yield Anomaly("incompatible order", f"{document} was seen as {one} and as {other}")


def _wrong(seen: Seen, place: int, versions: Versions) -> Generator[tuple[str, int]]:
    values = seen if isinstance(seen, tuple) else (seen,)
    if len(set(values)) < len(values):
        yield "written twice", version_of(seen)
    for version in values:
        if version in versions.undone:
            yield "G1a", version
        elif version != NOTHING and version not in versions.writer:
            yield "unknown version", version
    last = version_of(seen)
    if versions.intermediate.get(last, place) != place:
        yield "G1b", last


# --- dependencies


def _dependencies(history: History, versions: Versions, footprints: Sequence[Footprint]) -> Graph:
    graph = Graph(len(history))
    tables: dict[str, list[Document]] = {}
    for document in versions.documents.values():
        tables.setdefault(document.table, []).append(document)
        for before, following in document.after.items():
            for version in following:
                if before in versions.writer:
                    reason = f"{document.name}: {before} → {version}"
                    graph.add(versions.writer[before], versions.writer[version], Kind.WW, reason)
        # Who replaced a version had read it, as registers tell.
        for before, following in document.after.items():
            for one in following:
                for other in following:
                    if document.writes[one].after is not None:
                        reason = f"{document.name}: {before} → {other}"
                        graph.add(versions.writer[one], versions.writer[other], Kind.RW, reason)
    for place, found in enumerate(footprints):
        if history[place].outcome is Outcome.UNKNOWN:
            continue
        for name, seen, scanned in found.reads:
            document = versions.documents.get(name)
            if document is not None:
                _add_read(graph, versions, place, document, seen, scanned)
        for scan, known in found.absent:
            for document in tables.get(scan.table, ()):
                if document.name not in known:
                    _add_absence(graph, versions, place, document, scan)
    return graph


def _add_read(graph: Graph, versions: Versions, place: int, document: Document, seen: Seen, scanned: bool) -> None:
    version = version_of(seen)
    if version == NOTHING and seen == NOTHING:
        # Ids are known to others only after the insert: a register that is not there was deleted.
        version = next((gone for gone, write in document.writes.items() if write.group is None), NOTHING)
    if version != NOTHING:
        if version not in versions.writer:
            return
        graph.add(versions.writer[version], place, Kind.WR, f"{document.name}: {version}")
    for following in document.after.get(version, ()):
        if versions.writer[following] != place:
            graph.add(place, versions.writer[following], Kind.RW, f"{document.name}: {version} → {following}")


def _add_absence(graph: Graph, versions: Versions, place: int, document: Document, scan: Scan) -> None:
    missed = document.first_missed(scan)
    if missed is not None:
        reason = f"{document.name}: {missed} in {scan.table} [{scan.low}, {scan.high})"
        graph.add(place, versions.writer[missed], Kind.PREDICATE, reason)


def _add_real_time(graph: Graph, history: History) -> None:
    """Lead time through one node per acknowledgement, so that there are few edges for many transactions."""
    ended = [place for place, each in enumerate(history) if each.outcome is not Outcome.UNKNOWN]
    events = [(history[place].ended, 0, place) for place in ended]
    # At the same moment the beginning comes first: that orders nothing that may not be ordered.
    events += [(each.begun, -1, place) for place, each in enumerate(history)]
    moment: int | None = None
    for _, is_begin, place in sorted(events):
        if is_begin:
            if moment is not None:
                graph.add(moment, place, Kind.TIME)
            continue
        following = graph.add_node()
        if moment is not None:
            graph.add(moment, following, Kind.TIME)
        graph.add(place, following, Kind.TIME)
        moment = following


# --- cycles


def _cycles(graph: Graph, names: Sequence[str], *, real_time: bool) -> list[Anomaly]:
    time = frozenset({Kind.TIME}) if real_time else frozenset[Kind]()
    suffix = "-realtime" if real_time else ""
    found: list[Anomaly] = []
    for kind, kinds in (("G0", frozenset({Kind.WW}) | time), ("G1c", _DEPENDS | time)):
        for component in graph.components(kinds)[:CYCLES_MAX]:
            cycle = _cycle(graph, component, kinds, kinds)
            assert cycle is not None, "a component has a cycle"
            found.append(Anomaly(kind + suffix, _story(graph, names, cycle, kinds)))
        if found:
            return found
    for component in graph.components(_ALL | time)[:CYCLES_MAX]:
        kind = "G-single"
        cycle = _cycle(graph, component, _DEPENDS | time, _AGAINST)
        if cycle is None:
            cycle = _cycle(graph, component, _ALL | time, _AGAINST)
            assert cycle is not None, "a component has a cycle, and without an edge back in time it was found above"
            kind = "G2" if _needs_predicate(graph, cycle, time) else "G2-item"
        if _is_lost_update(graph, cycle):
            kind = "lost update"
        found.append(Anomaly(kind + suffix, _story(graph, names, cycle, _ALL | time)))
    return found


def _cycle(graph: Graph, component: Sequence[int], kinds: frozenset[Kind], first: frozenset[Kind]) -> list[int] | None:
    """A short cycle of the component that begins with an edge of the `first` kinds and has `kinds` for the others."""
    members = frozenset(component)
    begins = ((source, target) for source in component for target in graph.next(source, first) if target in members)
    best: list[int] | None = None
    for source, target in islice(begins, _TRIES_MAX):
        path = graph.path(target, source, kinds, members.__contains__)
        if path is not None and (best is None or len(path) < len(best)):
            best = [*path]
            if len(best) == 2 or len(component) > _SMALL:
                break
    return best


def _edges(graph: Graph, cycle: Sequence[int]) -> Iterable[tuple[int, dict[Kind, str], int]]:
    return [
        (source, graph.out[source][target], target)
        for source, target in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
    ]


def _needs_predicate(graph: Graph, cycle: Sequence[int], time: frozenset[Kind]) -> bool:
    return any(not edges.keys() & ({Kind.WW, Kind.WR, Kind.RW} | time) for _, edges, _ in _edges(graph, cycle))


def _is_lost_update(graph: Graph, cycle: Sequence[int]) -> bool:
    """Two transactions replaced the same version of one document, or one did and then had its own write replaced."""
    if len(cycle) != 2:
        return False
    one, other = (edges for _, edges, _ in _edges(graph, cycle))
    if Kind.WW in one or Kind.WW in other:
        return bool(_documents(one) & _documents(other))
    replaced = [edges.get(Kind.RW, "").split(" → ")[0] for edges in (one, other)]
    return bool(replaced[0]) and replaced[0] == replaced[1]


def _documents(edges: Mapping[Kind, str]) -> set[str]:
    return {reason.split(":")[0] for kind, reason in edges.items() if kind in (Kind.WW, Kind.RW)}


def _story(graph: Graph, names: Sequence[str], cycle: Sequence[int], kinds: frozenset[Kind]) -> str:
    steps: list[str] = []
    for source, edges, _ in _edges(graph, cycle):
        name = names[source] if source < len(names) else ""
        kind, reason = min(
            ((kind, reason) for kind, reason in edges.items() if kind in kinds),
            key=lambda edge: list(Kind).index(edge[0]),
        )
        if kind is not Kind.TIME:
            steps.append(f"{name} --{kind.value} ({reason})→")
        elif name:
            steps.append(f"{name} --{kind.value}→")
    return " ".join([*steps, names[cycle[0]] if cycle[0] < len(names) else "…"])
