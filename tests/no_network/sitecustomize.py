"""Refuse network connections to anything but this machine.

Python imports a module of this name at start-up. With this folder on PYTHONPATH, as `make test` has
it, every Python process of a test run is held to loopback addresses: pytest, its workers, notebook
kernels and subprocesses. Code that is no Python (a browser, say) is not.
"""

import ipaddress
import socket


class NetworkBlockedError(OSError):
    """A test run tried to leave this machine."""


def refuse(target: object) -> None:
    raise NetworkBlockedError(
        f"blocked a connection to {target!r}: the tests run without a network, only loopback "
        "addresses are allowed (tests/no_network/sitecustomize.py)"
    )


def is_loopback(host: str) -> bool:
    """Whether a socket address leads back to this machine without a name look-up."""
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_local_name(host: object) -> bool:
    """Whether a name may be looked up: a number needs no network, nor does this machine's name."""
    if host is None:
        return True
    name = host.decode() if isinstance(host, bytes) else str(host)
    if is_loopback(name) or name == socket.gethostname():
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def guard_address(method, position: int):
    """Wrap a socket method whose argument at `position` is an address (-1: the last one)."""

    def guarded(self, *args):
        if self.family in (socket.AF_INET, socket.AF_INET6) and len(args) > max(position, 0):
            address = args[position]
            if isinstance(address, tuple) and not is_loopback(address[0]):
                refuse(address)
        return method(self, *args)

    guarded.blocks_network = True
    return guarded


def guard_name(function):
    """Wrap a function whose first argument is a host name."""

    def guarded(host, *args, **kwargs):
        if not is_local_name(host):
            refuse(host)
        return function(host, *args, **kwargs)

    return guarded


def install() -> None:
    """Put the guard in place; a second call changes nothing."""
    if getattr(socket.socket.connect, "blocks_network", False):
        return
    socket.socket.connect = guard_address(socket.socket.connect, 0)
    socket.socket.connect_ex = guard_address(socket.socket.connect_ex, 0)
    socket.socket.sendto = guard_address(socket.socket.sendto, -1)
    if hasattr(socket.socket, "sendmsg"):
        socket.socket.sendmsg = guard_address(socket.socket.sendmsg, 3)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, guard_name(getattr(socket, name)))


install()
