from pyconvex.server import http_router

from .accounts import who_am_i
from .images import get_image, preflight, send_image
from .messages import get_by_author, post_message

http = http_router()

http.route(path="/postMessage", method="POST", handler=post_message)
http.route(path="/getMessagesByAuthor", method="GET", handler=get_by_author)
http.route(path_prefix="/getAuthorMessages/", method="GET", handler=get_by_author)

http.route(path="/sendImage", method="POST", handler=send_image)
http.route(path="/sendImage", method="OPTIONS", handler=preflight)
http.route(path="/getImage", method="GET", handler=get_image)

http.route(path="/whoAmI", method="GET", handler=who_am_i)
http.route(path="/whoAmI", method="OPTIONS", handler=preflight)

default = http
