"""What is wrong with a route."""

from pyconvex.errors import Place, PyconvexError, Remedy


class RouteError(PyconvexError, ValueError):
    """A route that cannot be registered; `other` is the place of the route it collides with."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        place: Place | None = None,
        other: Place | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint, place=place, remedy=Remedy.SAVE_FILE)
        self.other = other
