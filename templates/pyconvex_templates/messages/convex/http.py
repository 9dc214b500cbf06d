from pyconvex.server import http_router

from .images import allow_send_image, get_image, send_image
from .messages import get_by_author, get_by_author_suffix, post_message

http = http_router()

http.route(path="/postMessage", method="POST", handler=post_message)
http.route(path="/getMessagesByAuthor", method="GET", handler=get_by_author)
http.route(path_prefix="/getAuthorMessages/", method="GET", handler=get_by_author_suffix)

http.route(path="/sendImage", method="POST", handler=send_image)
http.route(path="/sendImage", method="OPTIONS", handler=allow_send_image)
http.route(path="/getImage", method="GET", handler=get_image)

default = http
