"""What has to be done to the tables and indexes so that they are those of a schema."""

from collections.abc import Iterator

from msgspec import Struct

from pyconvex.indexes import AnyIndexDefinition, IndexDefinition, SearchIndexDefinition, VectorIndexDefinition
from pyconvex.schema import Schema, TableDefinition

from .catalog import Catalog, Index, IndexKind, IndexState, Table


class SchemaChange(Struct, frozen=True):
    """What an activation changed; indexes are written `table.index`."""

    tables_created: tuple[str, ...] = ()
    indexes_created: tuple[str, ...] = ()
    """Staged ones are among them; they are filled in the background."""
    indexes_dropped: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    """The difference between a catalog and a schema. Indexes stand beside the names of their tables."""

    missing: tuple[str, ...]
    """Tables to be created."""
    build: tuple[tuple[str, Index], ...]
    """To be filled before the schema is in force. Those without a number are to be made first."""
    stage: tuple[tuple[str, Index], ...]
    """To be made now and filled in the background."""
    drop: tuple[tuple[str, Index], ...]
    switch: tuple[tuple[Index, IndexState], ...]
    """Complete indexes that become staged, or no longer are."""

    def change(self, schema: Schema) -> SchemaChange:
        created = [f"{name}.{index.name}" for name in self.missing for index in schema.tables[name].declared]
        return SchemaChange(
            tables_created=self.missing,
            indexes_created=(*created, *(f"{name}.{index.name}" for name, index in (*self.build, *self.stage))),
            indexes_dropped=tuple(f"{name}.{index.name}" for name, index in self.drop),
        )


def plan(catalog: Catalog, active: Schema, schema: Schema) -> Plan:
    """What leads from `catalog`, where `active` is in force, to `schema`. Unfinished leftovers are none of it."""
    drawn = _Draft(catalog, active)
    for name, definition in schema.tables.items():
        table = catalog.table(name)
        if table is None:
            drawn.missing.append(name)
        else:
            drawn.compare(table, definition)
    for table in catalog.tables:
        if table.name not in schema.tables:
            drawn.drop += [(table.name, index) for index in drawn.standing(table)]
    return Plan(tuple(drawn.missing), tuple(drawn.build), tuple(drawn.stage), tuple(drawn.drop), tuple(drawn.switch))


class _Draft:
    """A plan that is being made."""

    def __init__(self, catalog: Catalog, active: Schema) -> None:
        self.missing: list[str] = []
        self.build: list[tuple[str, Index]] = []
        self.stage: list[tuple[str, Index]] = []
        self.drop: list[tuple[str, Index]] = []
        self.switch: list[tuple[Index, IndexState]] = []
        self._staged = {index.number for _, index in staged_builds(catalog, active)}

    def compare(self, table: Table, definition: TableDefinition) -> None:
        present = {index.declaration: index for index in self.standing(table)}
        for declared in definition.declared:
            wanted = index_of(declared)
            found = present.pop(wanted.declaration, None)
            if found is None:
                (self.stage if declared.staged else self.build).append((table.name, wanted))
            elif is_unfinished(found):
                if not declared.staged:
                    self.build.append((table.name, found))
            elif found.state is not wanted.state:
                self.switch.append((found, wanted.state))
        self.drop += [(table.name, index) for index in present.values()]

    def standing(self, table: Table) -> list[Index]:
        """The indexes of a table that are complete, or filled in the background."""
        return [index for index in table.extra if not is_unfinished(index) or index.number in self._staged]


def index_of(declared: AnyIndexDefinition) -> Index:
    """What a schema declares, with a number still to come."""
    state = IndexState.STAGED if declared.staged else IndexState.ENABLED
    match declared:
        case IndexDefinition(name=name, fields=fields):
            return Index(0, name, fields, state)
        case SearchIndexDefinition(name=name, search_field=field, filter_fields=filters):
            return Index(0, name, (field,), state, IndexKind.SEARCH, filters)
        case VectorIndexDefinition(name=name, vector_field=field, filter_fields=filters, dimensions=dimensions):
            return Index(0, name, (field,), state, IndexKind.VECTOR, filters, dimensions)


def is_unfinished(index: Index) -> bool:
    return index.state is IndexState.BACKFILLING


def staged_builds(catalog: Catalog, active: Schema) -> Iterator[tuple[Table, Index]]:
    """The indexes that are filled in the background: unfinished ones that the active schema declares as staged."""
    for table in catalog.tables:
        unfinished = [index for index in table.extra if is_unfinished(index)]
        if unfinished and (definition := active.tables.get(table.name)):
            staged = {index_of(declared).declaration for declared in definition.declared if declared.staged}
            yield from ((table, index) for index in unfinished if index.declaration in staged)


def leftovers(catalog: Catalog, active: Schema) -> set[int]:
    """The numbers of the unfinished indexes that nobody is going to finish."""
    unfinished = {index.number for table in catalog.tables for index in table.extra if is_unfinished(index)}
    if not unfinished:
        return unfinished
    building = catalog.pending.building if catalog.pending else frozenset[int]()
    return unfinished - building - {index.number for _, index in staged_builds(catalog, active)}
