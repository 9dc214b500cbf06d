"""The composition root: one deployment, built once, reloaded in place, served with Hypercorn."""

from .host import Host as Host
from .host import HostOptions as HostOptions
from .host import Reloaded as Reloaded
from .host import collect_seldom as collect_seldom
from .lock import Running as Running
from .lock import running_server as running_server
from .loop import run as run
from .ports import Sockets as Sockets
from .ports import bind_sockets as bind_sockets
