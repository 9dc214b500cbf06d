"""The ring stays one ring, whatever the seed decides; without what keeps it, it breaks."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyconvex.store.postgres import persistence as postgres
from pyconvex.store.sqlite.file import SqliteFile
from serializability.weakened import StaleReads, Uncertified

from .postgres import Notices, PostgresEngine, Reader, SeededCommitter
from .sqlite import SqliteEngine
from .world import Engine, RingBroken, World

SEEDS = int(os.environ.get("PYCONVEX_SEEDS", "200"))
FIRST = SEEDS * int(os.environ.get("PYCONVEX_SEED", "0"))
BLOCK = 20
"""Seeds in one test: a test for each would cost more than what it runs."""
BROKEN_SEEDS = 10

pytestmark = pytest.mark.faults

History = list[tuple[object, ...]]


class Simulation:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._number = 0

    def sqlite(self, seed: int, *, broken: bool = False) -> History:
        self._number += 1
        with self._monkeypatch.context() as patches:
            path = self._folder / f"{self._number}.db"
            engine = SqliteEngine(path, weaken=StaleReads) if broken else SqliteEngine(path)
            patches.setattr(SqliteFile, "connect", engine.noted(SqliteFile.connect))
            return self._run(seed, engine)

    def postgres(self, seed: int, *, broken: bool = False) -> History:
        with self._monkeypatch.context() as patches:
            for name, stand_in in (("PostgresReader", Reader), ("Committer", SeededCommitter), ("Notices", Notices)):
                patches.setattr(postgres, name, stand_in)
            return self._run(seed, PostgresEngine(weaken=Uncertified) if broken else PostgresEngine())

    def _run(self, seed: int, engine: Engine) -> History:
        world = World(seed, engine)
        try:
            world.run()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
        return world.history


Simulate = Callable[..., History]


@pytest.fixture(params=["sqlite", "postgres"])
def simulate(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulate:
    return getattr(Simulation(tmp_path, monkeypatch), request.param)


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, BLOCK))
def test_the_ring_survives(simulate: Simulate, first: int) -> None:
    for seed in range(first, first + BLOCK):
        simulate(seed)


def test_the_same_seed_gives_the_same_history(simulate: Simulate) -> None:
    histories = [simulate(seed) for seed in (1, 2, 1)]
    assert histories[0] == histories[2] != histories[1]


def test_things_happen(simulate: Simulate) -> None:
    kinds = {str(event[1]) for seed in range(10) for event in simulate(seed)}
    assert {"swapped", "seen", "crash"} <= kinds


def test_without_isolation_the_ring_breaks(simulate: Simulate) -> None:
    broken = 0
    for seed in range(BROKEN_SEEDS):
        try:
            simulate(seed, broken=True)
        except RingBroken:
            broken += 1
    assert broken > BROKEN_SEEDS / 2
