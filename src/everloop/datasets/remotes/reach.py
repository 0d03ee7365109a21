"""How far a caller may make this platform reach: a server must not be led to its own network or its own disk."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

from everloop.kernel.errors import InvalidInput, PermissionDenied, Unavailable

Resolve = Callable[[str, int], list[str]]
"""Gives the addresses of a host."""
_SECRETS = frozenset(("access_token", "api_key", "apikey", "sig", "signature", "token"))
"""Options of URLs that let somebody in, as clouds sign them (beside all that begin with `X-Amz-` or `X-Goog-`)."""
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""Addresses of version 6 whose end is one of version 4: those of NAT64, and the old compatible ones."""
_HINT = "An owner of the server can allow it: EVERLOOP_PRIVATE_SOURCES=true."


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses that a host's name stands for now.

    Raises:
        Unavailable: there is no such host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"There is no host {host!r} ({error}).", hint="Check the URL, and the network.") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def parts_of(url: str) -> SplitResult:
    """The parts of a URL.

    Raises:
        InvalidInput: it is none: brackets that do not close, a port that is no number.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # Only now it is read.
    except ValueError as error:
        raise InvalidInput(f"{url.partition('?')[0].rpartition('@')[2]!r} is no URL ({error}).") from None
    return parts


def shown(url: str) -> str:
    """A URL without its options and without a name and password, for messages and the ledger."""
    parts = parts_of(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def without_secrets(url: str) -> str:
    """The URL, when nothing in it lets somebody in: it is to be kept.

    Raises:
        InvalidInput: it has a name, a password or a signature in it.
    """
    parts = parts_of(url)
    options = {name.lower() for name in parse_qs(parts.query, keep_blank_values=True)}
    signed = sorted(name for name in options if name in _SECRETS or name.startswith(("x-amz-", "x-goog-")))
    if "@" in parts.netloc or signed:
        what = "a name or password" if "@" in parts.netloc else signed[0]
        raise InvalidInput(
            f"The URL of {shown(url)} has {what} in it.",
            hint="It would be kept where others can read it; use the usual variables of the cloud.",
        )
    return url


class Reach:
    """Says what may be reached: anything in a process of the owner's own, only public addresses on a server."""

    def __init__(self, private: bool, resolve: Resolve = addresses_of) -> None:
        self.private = private
        self._resolve = resolve

    def check(self, url: str) -> None:
        """Let a URL through.

        Raises:
            InvalidInput: it is none.
            PermissionDenied: it leads to this machine or its network, and that is not allowed here.
        """
        parts = parts_of(url)
        if not parts.scheme:
            raise InvalidInput(
                f"{url!r} is no URL.", hint="Write s3://bucket/prefix, https://host/file or file:///path."
            )
        if parts.scheme == "file":
            if not self.private:
                raise PermissionDenied("A server's own folders cannot be reached through it.", hint=_HINT)
            return
        if parts.scheme in ("http", "https"):
            self.address(parts.hostname or "", parts.port or 0)
        for endpoint in parse_qs(parts.query).get("endpoint", ()):
            self.check(endpoint)

    def address(self, host: str, port: int) -> str:
        """The address to connect to for a host: the one that was judged, so that a name cannot change its meaning.

        Raises:
            PermissionDenied: one of its addresses is private, and that is not allowed here.
        """
        if not host:
            raise InvalidInput("The URL names no host.", hint="Write https://host/file.")
        found = self._resolve(host, port)
        hidden = [address for address in found if not _is_public(address)]
        if hidden and not self.private:
            raise PermissionDenied(f"{host} is at {hidden[0]}, which is no public address.", hint=_HINT)
        return found[0]


def _is_public(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    inner = _inside(found) if isinstance(found, IPv6Address) else found
    return found.is_global and not found.is_multicast and inner.is_global


def _inside(address: IPv6Address) -> IPv4Address | IPv6Address:
    """The address of version 4 that one of version 6 leads to by way of a translator; itself where there is none."""
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
