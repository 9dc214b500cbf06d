"""Cookies (RFC 6265 and its successor draft): reading the `Cookie` header, writing `Set-Cookie`."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

SameSite: TypeAlias = Literal["lax", "strict", "none"]

BYTES_MAX = 4096
"""Name and value together; browsers drop what is larger."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NO_OCTET = re.compile(r"[^!#-+\--:<-\[\]-~]")
_NO_PATH = re.compile(r"[^\x20-:<-~]")
_DOMAIN = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*", re.IGNORECASE)
_SAME_SITE = {"lax": "Lax", "strict": "Strict", "none": "None"}
_EPOCH = datetime.fromtimestamp(0, UTC)


def read_cookies(headers: Iterable[str]) -> dict[str, str]:
    """The cookies of a request's `Cookie` headers.

    Quotes around a value are taken off. Of two cookies with one name the first counts: browsers send the one with
    the longer path first (RFC 6265, section 5.4).
    """
    cookies: dict[str, str] = {}
    for header in headers:
        for piece in header.split(";"):
            name, equals, value = piece.partition("=")
            name = _decoded(name.strip(" \t"))
            if equals and name and name not in cookies:
                cookies[name] = _unquoted(_decoded(value.strip(" \t")))
    return cookies


def _decoded(text: str) -> str:
    """Browsers send what scripts put into a cookie as UTF-8; headers are read as Latin-1."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def set_cookie_header(
    name: str,
    value: str,
    *,
    max_age: int | timedelta | None,
    expires: datetime | None,
    path: str | None,
    domain: str | None,
    secure: bool,
    http_only: bool,
    same_site: SameSite | None,
    partitioned: bool,
) -> str:
    """The value of a `Set-Cookie` header; `Response.set_cookie` says what the arguments mean.

    Raises:
        ValueError: something that browsers would refuse or misread; it says what.
        TypeError: an argument of another type.
    """
    _check_name(name)
    _check_value(name, value)
    _check_combination(name, secure, same_site, partitioned)
    _check_prefix(name, secure, path, domain)
    parts = [f"{name}={value}"]
    if max_age is not None:
        parts.append(f"Max-Age={_seconds(name, max_age)}")
    if expires is not None:
        parts.append(f"Expires={_date(name, expires)}")
    if path is not None:
        parts.append(f"Path={_checked_path(name, path)}")
    if domain is not None:
        parts.append(f"Domain={_checked_domain(name, domain)}")
    flags = [(secure, "Secure"), (http_only, "HttpOnly"), (partitioned, "Partitioned")]
    parts += [flag for wanted, flag in flags if wanted]
    if same_site is not None:
        parts.append(f"SameSite={_SAME_SITE[same_site]}")
    return "; ".join(parts)


def long_ago() -> datetime:
    """A date that has passed wherever a clock is right: it deletes a cookie."""
    return _EPOCH


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"The name of a cookie is a str, not {type(name).__name__}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r:.60} is no name for a cookie: use ASCII letters, digits and !#$%&'*+-.^_`|~")


def _check_value(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"The value of the cookie {name!r} is a str, not {type(value).__name__}")
    if found := _NO_OCTET.search(value):
        raise ValueError(
            f"The value of the cookie {name!r} holds {found[0]!r}, which cookies cannot carry:"
            " encode it (`urllib.parse.quote(value)`) and decode it where it is read"
        )
    if len(name) + len(value) > BYTES_MAX:
        raise ValueError(f"The cookie {name!r} is larger than {BYTES_MAX} bytes with its name; browsers would drop it")


def _check_combination(name: str, secure: bool, same_site: object, partitioned: bool) -> None:
    if same_site is not None and same_site not in _SAME_SITE:
        raise ValueError(f"same_site of the cookie {name!r} is 'lax', 'strict', 'none' or None, not {same_site!r:.40}")
    if same_site == "none" and not secure:
        raise ValueError(f"The cookie {name!r} with same_site='none' must be secure; browsers would drop it")
    if partitioned and not secure:
        raise ValueError(f"The cookie {name!r} is partitioned, so it must be secure; browsers would drop it")


def _check_prefix(name: str, secure: bool, path: str | None, domain: str | None) -> None:
    """What the first characters of a name promise (RFC 6265bis, section 4.1.3)."""
    prefix = name.lower()
    if prefix.startswith(("__secure-", "__host-")) and not secure:
        raise ValueError(f"The cookie {name!r} must be secure, as its name says")
    if prefix.startswith("__host-") and (domain is not None or path != "/"):
        raise ValueError(f"The cookie {name!r} must have the path '/' and no domain, as its name says")


def _seconds(name: str, max_age: object) -> int:
    if isinstance(max_age, timedelta):
        return int(max_age.total_seconds())
    if isinstance(max_age, int) and not isinstance(max_age, bool):
        return int(max_age)
    raise TypeError(f"max_age of the cookie {name!r} is whole seconds or a timedelta, not {type(max_age).__name__}")


def _date(name: str, expires: object) -> str:
    from email.utils import format_datetime  # 10 ms that few processes need

    if not isinstance(expires, datetime):
        raise TypeError(f"expires of the cookie {name!r} is a datetime, not {type(expires).__name__}")
    if expires.tzinfo is None:
        raise ValueError(f"expires of the cookie {name!r} has no time zone: use `datetime.now(UTC) + ...`")
    return format_datetime(expires.astimezone(UTC), usegmt=True)


def _checked_path(name: str, path: object) -> str:
    if not isinstance(path, str):
        raise TypeError(f"The path of the cookie {name!r} is a str, not {type(path).__name__}")
    if not path.startswith("/") or _NO_PATH.search(path):
        raise ValueError(f"The path of the cookie {name!r} starts with / and is ASCII without `;`, not {path!r:.60}")
    return path


def _checked_domain(name: str, domain: object) -> str:
    if not isinstance(domain, str):
        raise TypeError(f"The domain of the cookie {name!r} is a str, not {type(domain).__name__}")
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"The domain of the cookie {name!r} is a host name such as 'example.com', not {domain!r:.60}")
    return domain
