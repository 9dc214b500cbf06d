from pyconvex.errors import Problem
from pyconvex.loading.registry import Registry


def check_routes(registry: Registry) -> list[Problem]:
    raise NotImplementedError
