"""Everything a `convex/` folder imports besides values: `from pyconvex.server import query, http_router, ...`."""

from .functions.auth_config import AuthConfig, auth_config, custom_jwt, oidc
from .functions.context import (
    ActionCtx,
    Auth,
    DatabaseReader,
    DatabaseWriter,
    MutationCtx,
    QueryCtx,
    Scheduler,
    StorageActionWriter,
    StorageReader,
    StorageWriter,
    current_ctx,
)
from .functions.decorators import (
    action,
    http_action,
    internal_action,
    internal_mutation,
    internal_query,
    mutation,
    query,
)
from .functions.documents import ScheduledFunctionId, StorageId
from .functions.fetch.abort_signal import AbortError, AbortSignal
from .functions.fetch.blob import Blob, File
from .functions.fetch.event_stream import ServerSentEvent
from .functions.fetch.form_data import FormData
from .functions.fetch.headers import Headers
from .functions.fetch.request import Client, Request
from .functions.fetch.response import Response
from .functions.fetch.url import URL, URLSearchParams
from .functions.pagination import (
    PaginationOpts,
    PaginationResult,
    pagination_opts_validator,
    pagination_result_validator,
)
from .functions.references import FunctionReference, api, internal
from .functions.routing.cors import Cors
from .functions.routing.middleware import Middleware, Next
from .functions.routing.router import HttpRouter, http_router
from .functions.user_identity import UserIdentity
from .functions.webhooks.github import GitHubWebhook
from .functions.webhooks.standard import StandardWebhook
from .functions.webhooks.stripe import StripeWebhook
from .functions.webhooks.verification import WebhookVerificationError
from .schema import define_schema, define_table

__all__ = [
    "URL",
    "AbortError",
    "AbortSignal",
    "ActionCtx",
    "Auth",
    "AuthConfig",
    "Blob",
    "Client",
    "Cors",
    "DatabaseReader",
    "DatabaseWriter",
    "File",
    "FormData",
    "FunctionReference",
    "GitHubWebhook",
    "Headers",
    "HttpRouter",
    "Middleware",
    "MutationCtx",
    "Next",
    "PaginationOpts",
    "PaginationResult",
    "QueryCtx",
    "Request",
    "Response",
    "ScheduledFunctionId",
    "Scheduler",
    "ServerSentEvent",
    "StandardWebhook",
    "StorageActionWriter",
    "StorageId",
    "StorageReader",
    "StorageWriter",
    "StripeWebhook",
    "URLSearchParams",
    "UserIdentity",
    "WebhookVerificationError",
    "action",
    "api",
    "auth_config",
    "current_ctx",
    "custom_jwt",
    "define_schema",
    "define_table",
    "http_action",
    "http_router",
    "internal",
    "internal_action",
    "internal_mutation",
    "internal_query",
    "mutation",
    "oidc",
    "pagination_opts_validator",
    "pagination_result_validator",
    "query",
]
