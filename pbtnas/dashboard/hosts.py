"""Says under which names the page may be asked for.

A page of somebody else can let its own name lead to this machine, and then read what this server
answers.  The browser sends that name as the Host header, by which it is refused.
"""

from __future__ import annotations

import ipaddress
import socket

LOOPBACK = "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def own_names(host: str) -> frozenset[str]:
    """The names of a server that listens at a host, which may be an address or a name.

    One that others reach has the names of this machine, too.
    """
    names = {"localhost", host.lower()}
    if not is_loopback(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def is_own(header: str, host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names the server that listens at `host`.

    An address is nobody's name; but where only this machine is to ask, it has to be its own.
    """
    name = _without_port(header).lower()
    address = _address(name)
    if address is None:
        return name in names
    return address.is_loopback or not is_loopback(host)


def _without_port(header: str) -> str:
    if header.startswith("["):  # an IPv6 address
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
