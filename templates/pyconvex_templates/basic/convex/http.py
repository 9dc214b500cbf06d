from pyconvex.server import http_router

from .notes import post_note

http = http_router()

http.route(path="/notes", method="POST", handler=post_note)

default = http
