"""What `schema.py` of a project declares: tables, their validators and their indexes."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from .errors import Place, Problem
from .values.validators import Validator

@dataclass(frozen=True, slots=True)
class IndexDefinition:
    name: str
    fields: tuple[str, ...]
    staged: bool
    place: Place

class TableDefinition:
    validator: Validator
    indexes: tuple[IndexDefinition, ...]
    place: Place
    def index(self, name: str, fields: Sequence[str], *, staged: bool = False) -> "TableDefinition": raise NotImplementedError

class Schema:
    tables: Mapping[str, TableDefinition]
    schema_validation: bool
    strict_table_name_types: bool
    place: Place | None
    def json(self) -> dict[str, object]: raise NotImplementedError
    def problems(self) -> list[Problem]: raise NotImplementedError

def define_table(fields_or_validator: Mapping[str, Validator] | Validator) -> TableDefinition: raise NotImplementedError
def define_schema(tables: Mapping[str, TableDefinition], *, schema_validation: bool = True, strict_table_name_types: bool = True) -> Schema: raise NotImplementedError
EMPTY_SCHEMA = Schema()
