"""Single keys from the terminal, without blocking the event loop and without Enter."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Generator

if sys.platform == "win32":

    @contextlib.contextmanager
    def listening(press: Callable[[str], None]) -> Generator[None, None, None]:
        """Keys are not read on Windows."""
        yield

else:
    import termios
    import tty

    @contextlib.contextmanager
    def listening(press: Callable[[str], None]) -> Generator[None, None, None]:
        """Calls `press` with each key typed while the block runs; Ctrl-C stays a signal.

        Does nothing in the background of a shell, where reading would stop the process.
        """
        descriptor = _own_descriptor()
        if descriptor is None:
            yield
            return
        before = termios.tcgetattr(descriptor)
        tty.setcbreak(descriptor, termios.TCSANOW)
        loop = asyncio.get_running_loop()

        def read() -> None:
            typed = os.read(descriptor, 64)
            if not typed:  # the terminal is gone
                loop.remove_reader(descriptor)
            for key in typed.decode("utf-8", "replace"):
                press(key)

        loop.add_reader(descriptor, read)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            termios.tcsetattr(descriptor, termios.TCSANOW, before)  # waiting for a stopped terminal would hang
            os.close(descriptor)

    def _own_descriptor() -> int | None:
        """The terminal opened anew: uvloop makes what it reads non-blocking, and stdin is often stderr too."""
        try:
            descriptor = os.open(os.ttyname(sys.stdin.fileno()), os.O_RDWR | os.O_NOCTTY)
        except OSError:
            return None
        if os.tcgetpgrp(descriptor) == os.getpgrp():
            return descriptor
        os.close(descriptor)
        return None
