"""Texts that are made when somebody asks for them."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property


class Later(Mapping[str, str]):
    """A mapping that `make` makes, once, when something of it is asked for."""

    def __init__(self, make: Callable[[], Mapping[str, str]]) -> None:
        self._make = make

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        return self._make()

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
