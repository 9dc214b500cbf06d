"""What a route may be: its rules, in the order in which Convex checks them, and the handlers that are none."""

from types import FunctionType
from typing import Any, TypeGuard

from pyconvex.functions.fetch.url import pathname
from pyconvex.functions.function import Kind, RegisteredFunction, Visibility, described, kind_phrase, register

from .error import RouteError
from .pattern import Pattern
from .route import METHODS

# Each of these raises RouteError without a place: the router knows the call.


def has_parameters(path: str) -> bool:
    """Whether a path is a pattern; a literal brace cannot be part of a path, as it is sent as `%7B`."""
    return "{" in path or "}" in path


def checked_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RouteError("InvalidPath", f"{name} is a str that starts with /, not {described(value)}")
    return value


def checked_method(method: object) -> str:
    """Rules 2 and 3."""
    if method is None:
        raise RouteError("NoMethod", "route requires method", hint="write `method='GET'` or the like")
    if method in METHODS:
        return str(method)
    hint = f"methods of routes are {', '.join(METHODS)}"
    if isinstance(method, str) and method.upper() in METHODS:
        hint = f"methods are upper-case: write {method.upper()}"
    elif method in ("HEAD", "head"):
        hint = "a HEAD request runs the GET route: register GET"
    raise RouteError(
        "InvalidMethod", f"'{method!s:.40}' is not an allowed HTTP method (like GET, POST, PUT etc.)", hint=hint
    )


def check_path(path: str) -> None:
    """Rules 5 and 6, and that a request can have this path."""
    if not path.startswith("/"):
        raise RouteError("PathWithoutSlash", f"path '{path}' does not start with a /", hint=f"write '/{path}'")
    if path == "/.files" or path.startswith("/.files/"):
        raise RouteError("ReservedPath", f"path '{path}' is reserved", hint="choose another path than /.files")
    _check_can_match(path, "path")
    if has_parameters(path):
        Pattern(path)


def check_prefix(prefix: str, name: str) -> None:
    """Rules 8 to 10.

    Args:
        name: what the caller called the prefix.
    """
    if not prefix.startswith("/"):
        raise RouteError("PathWithoutSlash", f"{name} '{prefix}' does not start with a /", hint=f"write '/{prefix}'")
    if not prefix.endswith("/"):
        raise RouteError("PrefixWithoutSlash", f"{name} {prefix} must end with a /", hint=f"write '{prefix}/'")
    if prefix.startswith("/.files/"):
        raise RouteError("ReservedPath", f"{name} '{prefix}' is reserved", hint="choose another path than /.files/")
    _check_can_match(prefix, name)
    if has_parameters(prefix):
        raise RouteError(
            "InvalidPathPattern",
            f"{name} '{prefix}' has parameters, which only a path can have",
            hint=f"write path='{prefix}{{rest:path}}'",
        )


def _check_can_match(path: str, name: str) -> None:
    if "?" in path or "#" in path:
        raise RouteError(
            "PathNeverMatches",
            f"{name} '{path}' contains a ? or #, which is never part of a request's path",
            hint="read the query in the handler: `request.url.search_params`",
        )
    literal = path.replace("{", "").replace("}", "")
    sent = pathname(literal)
    if sent != literal:
        raise RouteError(
            "PathNeverMatches",
            f"{name} '{path}' never matches, because a URL is sent with '{sent}' instead",
            hint="write it as it is sent" if has_parameters(path) else f"write '{sent}'",
        )


def checked_body_limit(limit: object) -> int | None:
    """What `max_body_bytes=` was given."""
    if limit is None:
        return None
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0:
        return limit
    raise RouteError(
        "InvalidBodyLimit",
        f"max_body_bytes is a whole number of bytes, not {described(limit)}",
        hint="write max_body_bytes=5 * 2**20 for 5 MiB, or leave it out for the deployment's own limit",
    )


def checked_handler(handler: object) -> RegisteredFunction[..., Any]:
    """The HTTP action that `handler=` was given."""
    if is_registered(handler):
        registered = handler
        if registered.kind is Kind.HTTP_ACTION:
            return registered
        raise RouteError(
            "HandlerNotHttpAction",
            f"the handler `{registered.name}` is {kind_phrase(registered.kind)}, not an HTTP action",
            hint=f"write an `@http_action` that calls `await ctx.run_{registered.kind}({registered.name}, ...)`",
            other=registered.place,
        )
    if isinstance(handler, FunctionType):
        raise RouteError(
            "HandlerNotHttpAction",
            f"the handler `{handler.__name__}` is a plain function, not an HTTP action",
            hint=f"decorate it with @http_action: `@http_action` above `async def {handler.__name__}(ctx, request)`",
        )
    raise RouteError(
        "HandlerNotHttpAction",
        f"the handler is {described(handler)}, not an HTTP action",
        hint="pass the function itself, decorated with @http_action",
    )


def as_http_action(handler: object) -> RegisteredFunction[..., Any]:
    """What `@http.route(...)` decorates, as an HTTP action."""
    if isinstance(handler, FunctionType):
        return register(Kind.HTTP_ACTION, Visibility.PUBLIC, handler)
    return checked_handler(handler)


def is_registered(handler: object) -> TypeGuard[RegisteredFunction[..., Any]]:
    return isinstance(handler, RegisteredFunction)
