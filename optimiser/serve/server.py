"""The server of the what-if page: this computer only, until Ctrl-C."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import webbrowser
from collections.abc import Callable
from types import FrameType

from waitress.server import create_server

from optimiser.errors import Fault, InstanceError
from optimiser.serve.desk import Desk
from optimiser.serve.pages import make_app
from optimiser.serve.shelf import write_for_us_alone

#: Nobody but this computer reaches it.
HOST = "127.0.0.1"
#: File by which the browser is led to the page: what a browser is called with can be seen by everybody on this computer.
WAY_IN = "open.html"


def listen(desk: Desk, own: socket.socket, browse: bool, say: Callable[[str], None]) -> None:
    """Serve the pages of a desk until Ctrl-C or the signal to end; whatever is being worked on is stopped then.

    The address that is said holds a key, so that nobody else who uses this computer can open them.

    Parameters
    ----------
    own : bound socket, from ``bound``
    """
    port = own.getsockname()[1]
    key = desk.shelf.key()
    app = make_app(desk, tuple(f"{name}:{port}" for name in (HOST, "localhost")), key)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = create_server(app, sockets=[own], threads=6, ident="optimiser")
    address = f"http://{HOST}:{port}/{key}/"
    say(f"Open {address} in a browser on this computer. Variants are kept in {desk.shelf.folder}. Ctrl-C stops.")
    way_in = desk.shelf.folder / WAY_IN
    if browse:
        write_for_us_alone(way_in, f'<meta http-equiv="refresh" content="0; url={address}">')
        threading.Thread(target=webbrowser.open, args=(way_in.absolute().as_uri(),), daemon=True).start()
    before = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        server.close()
        desk.close()
        way_in.unlink(missing_ok=True)
    kept = len(desk.shelf.variants())
    words = "no variant is kept" if not kept else "1 variant is kept" if kept == 1 else f"{kept} variants are kept"
    say(f"Stopped; {words} in {desk.shelf.folder}.")


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def bound(port: int) -> socket.socket:
    """A socket of this computer alone.

    Parameters
    ----------
    port : 0 for any that is free

    Raises
    ------
    InstanceError
        Where the port cannot be had.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        fix = "Close what uses it, or name another; 0 takes any that is free."
        fault = Fault("the command", None, "--port", str(port), f"cannot be used: {error.strerror}", fix)
        raise InstanceError([fault], "the command") from None
    return found
