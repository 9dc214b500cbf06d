"""Values and validators, as users import them."""

from .int64 import Int64
from .kinds import Undefined, Value, undefined
from .validators import v
from .value import ConvexError

__all__ = ["ConvexError", "Int64", "Undefined", "Value", "undefined", "v"]
