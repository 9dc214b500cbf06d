"""What every execution of one deployment shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..clock import Clock
    from ..files.storage import FileStorage
    from ..settings import Limits
    from ..store.store import Store
    from .environment import Environment, Urls
    from .logs import LogBook


@dataclass(frozen=True, slots=True)
class Services:
    store: Store
    files: FileStorage
    environment: Environment
    logs: LogBook
    limits: Limits
    clock: Clock
    urls: Urls
