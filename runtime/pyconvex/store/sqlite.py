"""signature; the body follows"""

from pathlib import Path


class SqlitePersistence:
    def __init__(self, path: Path | None) -> None: ...
