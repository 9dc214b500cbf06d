"""signature; the body follows"""

from pathlib import Path


class LocalFiles:
    def __init__(self, folder: Path) -> None: ...
