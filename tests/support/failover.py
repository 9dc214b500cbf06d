"""A PostgreSQL primary and a standby that has every commit before it is acknowledged."""

import atexit
import shutil
import subprocess
import time
from typing import Any
from urllib.parse import quote

import pytest

from .postgres import GIVEN, Server, new_folder, new_server

_WAIT_SECONDS = 30.0


class _Copy:
    """The files of a standby, as `Server` wants to know them; they belong to who runs the primary."""

    def __init__(self, primary: Any) -> None:
        self.bin_path, self.system_user = primary.bin_path, primary.system_user
        folder = new_folder()
        if self.system_user is not None:
            shutil.chown(folder, self.system_user)
        self.pgdata = folder / "data"
        self.log = folder / "log"


class Standby(Server):
    """A server that follows `primary` until it is promoted."""

    def __init__(self, primary: Server) -> None:
        copy = _Copy(primary.started)
        super().__init__(f"postgresql://postgres:@/postgres?host={quote(str(copy.pgdata), safe='/')}", copy)
        tool, place = str(copy.bin_path / "pg_basebackup"), str(copy.pgdata)
        command = [tool, "-d", primary.url, "-D", place, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        subprocess.run(command, check=True, user=copy.system_user, cwd=copy.pgdata.parent, capture_output=True)
        # The primary's socket is in its data folder.
        (copy.pgdata / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
        atexit.register(self.end)
        self.start()

    def promote(self) -> None:
        """Make it a primary; returns when it takes writes."""
        self._control("promote")


def replicated() -> tuple[Server, Standby]:
    """Two running servers: the first acknowledges no commit that the second has not got."""
    if GIVEN is not None:
        pytest.skip("the server of PYCONVEX_TEST_POSTGRES is not ours to kill")
    primary = new_server()
    standby = Standby(primary)
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.execute("SELECT pg_reload_conf()")
    until = time.monotonic() + _WAIT_SECONDS
    while primary.execute("SELECT sync_state FROM pg_stat_replication") != [("sync",)]:
        assert time.monotonic() < until, "the standby does not follow"
        time.sleep(0.02)
    return primary, standby
