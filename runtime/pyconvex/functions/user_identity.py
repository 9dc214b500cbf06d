"""What `ctx.auth.get_user_identity()` answers, for type checkers (https://docs.convex.dev/auth/functions-auth)."""

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

D = TypeVar("D")

Always: TypeAlias = Literal["tokenIdentifier", "subject", "issuer"]
Text: TypeAlias = Literal[
    "name",
    "givenName",
    "familyName",
    "nickname",
    "preferredUsername",
    "profileUrl",
    "pictureUrl",
    "websiteUrl",
    "email",
    "gender",
    "birthday",
    "timezone",
    "language",
    "phoneNumber",
    "address",
    "updatedAt",
]
Flag: TypeAlias = Literal["emailVerified", "phoneNumberVerified"]

if TYPE_CHECKING:

    class UserIdentity(dict[str, Any]):
        """`tokenIdentifier`, `subject` and `issuer`, then what the token says: `name`, `email`, custom claims.

        A plain dict when it runs. All but those three may be missing: `identity.get("email")`.
        """

        @overload
        def __getitem__(self, key: Always | Text, /) -> str: ...
        @overload
        def __getitem__(self, key: Flag, /) -> bool: ...
        @overload
        def __getitem__(self, key: str, /) -> Any: ...
        def __getitem__(self, key: str, /) -> Any: ...

        @overload
        def get(self, key: Always, default: object = None, /) -> str: ...
        @overload
        def get(self, key: Text, default: None = None, /) -> str | None: ...
        @overload
        def get(self, key: Flag, default: None = None, /) -> bool | None: ...
        @overload
        def get(self, key: Text, default: D, /) -> str | D: ...
        @overload
        def get(self, key: Flag, default: D, /) -> bool | D: ...
        @overload
        def get(self, key: str, default: None = None, /) -> Any | None: ...
        @overload
        def get(self, key: str, default: D, /) -> Any | D: ...
        def get(self, key: str, default: Any = None, /) -> Any: ...  # pyright: ignore[reportIncompatibleMethodOverride]  # as dict's, but closer for known keys

else:
    UserIdentity = dict[str, Any]
