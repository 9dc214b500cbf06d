"""The modules whose `default` means something: `http.py`, `schema.py` and `auth_config.py`."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any, Generic, TypeVar

from msgspec import Struct

from pyconvex.errors import Place, Problem
from pyconvex.functions.auth_config import AuthConfig, CustomJwtProvider, OidcProvider, auth_config
from pyconvex.functions.function import RegisteredFunction
from pyconvex.functions.routing.router import HttpRouter, http_router
from pyconvex.loading.frames import Project
from pyconvex.loading.further import routes_without_handler
from pyconvex.loading.source import Source
from pyconvex.schema import Schema, TableDefinition, define_schema

T = TypeVar("T")


class _Special(Struct, Generic[T], frozen=True):
    """What `http.py` or another of these has to export, and how its problems are called."""

    kind: type[T]
    noun: str
    code: str
    variable: str
    factory: Callable[..., T]
    arguments: str
    """Of a call of the factory, as it may be written."""
    advice: str | None = None
    """What to do where nothing tells what was meant, if that takes more words than usual."""

    @property
    def call(self) -> str:
        return f"{self.factory.__name__}({self.arguments})"

    @property
    def otherwise(self) -> str:
        return self.advice or f"end with `default = {self.call}`"


_PROVIDER = "oidc(domain=..., application_id=...)"
_ROUTES = "make it with `http = http_router()`, add routes, and end with `default = http`"
_HTTP = _Special(HttpRouter, "an HttpRouter", "Http", "http", http_router, "", _ROUTES)
_SCHEMA = _Special(Schema, "a schema", "Schema", "schema", define_schema, "{...}")
_AUTH = _Special(AuthConfig, "an auth configuration", "AuthConfig", "auth", auth_config, _PROVIDER)


def router_of(module: ModuleType, source: Source) -> tuple[HttpRouter | None, list[Problem]]:
    """The router that `http.py` exports, or why there is none (https://docs.convex.dev/functions/http-actions)."""
    return _default_of(module, source, _HTTP)


def schema_of(module: ModuleType, source: Source) -> tuple[Schema | None, list[Problem]]:
    """The schema that `schema.py` exports, or why there is none (https://docs.convex.dev/database/schemas)."""
    return _default_of(module, source, _SCHEMA)


def auth_of(module: ModuleType, source: Source) -> tuple[AuthConfig | None, list[Problem]]:
    """The providers that `auth_config.py` exports, or why there are none (https://docs.convex.dev/auth)."""
    return _default_of(module, source, _AUTH)


def pending_routes(router: HttpRouter, project: Project) -> Iterator[Problem]:
    """Calls of `route()` that got no handler and decorated nothing."""
    for error in routes_without_handler(router):
        yield Problem(error.code, error.message, place=project.place(error.place), hint=error.hint)


def misnamed_http(sources: Mapping[str, Source]) -> Iterator[Problem]:
    """Warnings about `routes.py` and the like in a project without `http.py`."""
    if "http" in sources:
        return
    for path, source in sources.items():
        if path.lower() in ("http", "https", "routes"):
            yield Problem(
                "DidYouMeanHttp",
                f"no routes are read from `{source.file}`, only from `http.py`",
                place=Place(source.file, 1),
                hint="rename it to `http.py` if it holds the router",
            )


def _default_of(module: ModuleType, source: Source, special: _Special[T]) -> tuple[T | None, list[Problem]]:
    contents = module.__dict__
    if "default" not in contents:
        return None, [_without_default(contents, source, special)]
    default = contents["default"]
    if isinstance(default, special.kind):
        return default, []
    place = _place(source, "default")
    if default is special.factory or default is special.kind:
        return None, [_not_called(default, place, special)]
    return None, [_wrong_default(default, contents, place, source, special)]


def _without_default(contents: Mapping[str, Any], source: Source, special: _Special[Any]) -> Problem:
    found = [name for name, value in contents.items() if _is(value, special.kind)]
    code = f"{special.code}WithoutDefault"
    if not found:
        uncalled = next((name for name, value in contents.items() if _is_uncalled(name, value, special)), None)
        return Problem(
            code,
            f"`{source.file}` has no `default`: it must export {special.noun}",
            place=_place(source, uncalled) if uncalled else Place(source.file, 1),
            hint=special.otherwise,
        )
    places = [_place(source, name) for name in found]
    plural = special.noun.partition(" ")[2] + "s"
    if len(found) > 1:
        listed = ", ".join(f"`{name}`" for name in found[:-1]) + f" and `{found[-1]}`"
        message = f"`{source.file}` has {len(found)} {plural}, {listed}, but no `default`"
        hint = f"say which one is served: add `default = {found[0]}`"
    else:
        message = f"`{source.file}` makes {special.noun} but does not export it"
        hint = f"add `default = {found[0]}` as the last line"
    return Problem(code, message, place=places[0], hint=hint, also=tuple(places[1:]))


def _is(value: object, kind: type[Any]) -> bool:
    return issubclass(type(value), kind)  # isinstance would wake lazy objects


def _is_uncalled(name: str, value: object, special: _Special[Any]) -> bool:
    return value is special.factory and name == special.variable


def _not_called(default: object, place: Place, special: _Special[Any]) -> Problem:
    name = getattr(default, "__name__", special.variable)
    what = "class" if isinstance(default, type) else "function"
    return Problem(
        f"{special.code}NotCalled",
        f"`default` is the {what} `{name}` itself, not {special.noun}",
        place=place,
        hint=f"call it: `{special.variable} = {special.call}`, then `default = {special.variable}`",
    )


def _wrong_default(
    default: object, contents: Mapping[str, Any], place: Place, source: Source, special: _Special[Any]
) -> Problem:
    return Problem(
        f"{special.code}DefaultWrong",
        f"the `default` of `{source.file}` is {described(default)}, not {special.noun}",
        place=place,
        hint=_hint_for(default, contents, special),
    )


def _hint_for(default: object, contents: Mapping[str, Any], special: _Special[Any]) -> str:
    found = next((name for name, value in contents.items() if _is(value, special.kind)), None)
    if special is _HTTP and (app := _application(default)):
        name = next((name for name, value in contents.items() if value is default and name != "default"), "app")
        mounted = name if app == "ASGI" else f"WsgiToAsgi({name})"
        wrapped = "" if app == "ASGI" else "; `WsgiToAsgi` is in the package `asgiref` (`asgiref.wsgi`)"
        line = f'http.mount("/", {mounted})'
        start = "" if found else "`http = http_router()`, "
        return f"serve it below a path: {start}`{line}`, `default = {found or 'http'}`{wrapped}"
    if found:
        return f"write `default = {found}`"
    if special is _SCHEMA and isinstance(default, dict):
        return "wrap it: `default = define_schema({...})`"
    if special is _SCHEMA and isinstance(default, TableDefinition):
        return 'name the table: `default = define_schema({"messages": define_table(...)})`'
    if special is _AUTH and isinstance(default, OidcProvider | CustomJwtProvider):
        return f"wrap it: `default = auth_config({_made_by(default)}(...))`"
    if special is _AUTH and isinstance(default, list | tuple):
        return "give its providers one by one: `default = auth_config(oidc(...), custom_jwt(...))`"
    if special is _AUTH and isinstance(default, dict):
        return "write `default = auth_config(oidc(domain=..., application_id=...))`"
    return special.otherwise


def described(value: object) -> str:
    """What a value is, for a sentence: "None", "a dict", "the function `f`", "a FastAPI app"."""
    match value:
        case None:
            return "None"
        case RegisteredFunction():
            kind = "an HTTP action" if value.kind == "http_action" else f"{_article(value.kind)} {value.kind}"
            return f"{kind}, `{value.name}`"
        case FunctionType():
            return f"the function `{value.__name__}`"
        case type():
            return f"the class `{value.__name__}`"
        case ModuleType():
            return f"the module `{value.__name__}`"
        case HttpRouter():
            return "an HttpRouter"
        case Schema():
            return "a schema"
        case TableDefinition():
            return "a single table"
        case AuthConfig():
            return "an auth configuration"
        case OidcProvider() | CustomJwtProvider():
            return "a single provider"
        case _:
            name = type(value).__name__
            return f"{_article(name)} {name}" + (" app" if _application(value) else "")


def _made_by(provider: OidcProvider | CustomJwtProvider) -> str:
    return "oidc" if isinstance(provider, OidcProvider) else "custom_jwt"


def _article(noun: str) -> str:
    return "an" if noun[:1].lower() in "aeiou" else "a"


def _application(value: object) -> str | None:
    """Whether a value is a web application, by the protocol that it speaks: an instance called with a request."""
    if isinstance(value, type | FunctionType | RegisteredFunction) or not callable(value):
        return None
    call = type(value).__call__
    if inspect.iscoroutinefunction(call):
        return "ASGI" if _takes(call, 3) else None
    return "WSGI" if hasattr(value, "wsgi_app") else None


def _takes(call: object, count: int) -> bool:
    assert callable(call), "it is the __call__ of something callable"
    try:
        return len(inspect.signature(call).parameters) == count + 1  # and self
    except (TypeError, ValueError):
        return False


def _place(source: Source, name: str) -> Place:
    spot = source.assigned.get(name) or source.imported.get(name)
    return Place(source.file, *spot) if spot else Place(source.file, 1)
