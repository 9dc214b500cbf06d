"""What the log says of a request that no route takes; clients never hear of it."""

from pyconvex.functions.routing.misses import explain_miss
from pyconvex.loading.registry import Registry, route_place


def miss_note(registry: Registry, path: str, method: str, *, guess: bool) -> str:
    """Why there is no route, and which one the request may have meant.

    Args:
        path: what routes are compared with.
        guess: whether to look for similar paths too, which is worth its time while one develops.
    """
    if registry.version == 0:
        return "nothing is loaded yet"
    if registry.router is None:
        return "no http.py, so there are no routes"
    miss = explain_miss(registry.router.table, path, method, guess=guess)
    if miss is None:
        return "no route"
    place = route_place(registry, miss.nearest)
    file = place.file.rpartition("/")[2]
    return f"no route; nearest is {miss.text(f'{file}:{place.line}')}"
