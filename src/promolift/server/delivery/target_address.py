"""Post to a URL that somebody typed. It must be public, and the connection goes to the address that was checked."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httpcore

from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy

TIMEOUT_S = 10.0
ANSWER_BYTES = 65_536  # of a receiver's answer; what is longer is left unread
SAFE_PATH_CHARACTERS = "/%:@!$&'()*+,;=~-._?"  # what stays as it is in a path
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is given to anybody; IPv4 behind NAT64 comes beside it
RESERVED_NETWORKS = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
)  # of the network itself


class WebhookTarget(NamedTuple):
    """Where a URL leads: scheme and host, the one address to connect to, the port, and path with query."""

    scheme: str
    host: str
    address: str
    port: int
    path: str


class UnsafeTargetError(Exception):
    """The URL leads into the own network or is no plain web address: `why` says which."""

    def __init__(self, why: LazyMessage) -> None:
        """`why` is a clause that goes on a sentence."""
        super().__init__(why)
        self.why = why


class ReceiverAnswer(NamedTuple):
    """What a receiver answered: its status and the start of its body."""

    status: int
    body: bytes

    @property
    def error(self) -> str | None:
        """Why the message did not arrive; None where it did."""
        return None if 200 <= self.status < 300 else f"status {self.status}"


def safe_address(url: str, private: bool) -> WebhookTarget:
    """Where a webhook may be sent. Raises UnsafeTargetError.

    All addresses of the name must be public, and the connection goes to the one that was looked at: a name that
    answers differently the second time cannot lead elsewhere.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UnsafeTargetError(gettext_lazy("not a URL")) from None
    plain = parts.username is None and parts.password is None
    if parts.scheme not in (("https", "http") if private else ("https",)) or not host or not plain:
        raise UnsafeTargetError(gettext_lazy("use https://host/path, without user and password"))
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise UnsafeTargetError(gettext_lazy("this host has no address")) from None
    if not private and not all(_public(ipaddress.ip_address(address.split("%")[0])) for address in found):
        raise UnsafeTargetError(gettext_lazy("this host lies in a private network"))
    path = quote(parts.path or "/", SAFE_PATH_CHARACTERS) + (
        f"?{quote(parts.query, SAFE_PATH_CHARACTERS)}" if parts.query else ""
    )
    return WebhookTarget(parts.scheme, host, min(found), port, path)


def _public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it, and each IPv4 address it may lead to (mapped, NAT64, 6to4, Teredo), belongs to the open network."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in each for each in RESERVED_NETWORKS)
    if address.ipv4_mapped:
        return _public(address.ipv4_mapped)
    if address in NAT64:
        return _public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    inner = [each for each in (address.sixtofour, *(address.teredo or ())) if each is not None]
    return address in GLOBAL_UNICAST and address.is_global and all(map(_public, inner))


async def post_content(
    pool: httpcore.AsyncConnectionPool, to: WebhookTarget, content: bytes, headers: Mapping[str, str]
) -> ReceiverAnswer:
    """POST JSON to a checked address. Redirects are not followed. Raises TimeoutError, and httpcore's own errors."""
    sent = {
        "host": to.host if to.port in (80, 443) else f"{to.host}:{to.port}",
        "content-type": "application/json",
        "content-length": str(len(content)),
        **headers,
    }
    url = httpcore.URL(scheme=to.scheme, host=to.address, port=to.port, target=to.path)
    extra = {"sni_hostname": to.host}
    async with asyncio.timeout(TIMEOUT_S):
        sending = pool.stream("POST", url, headers=list(sent.items()), content=content, extensions=extra)
        async with sending as reply:
            body = b""
            async for part in reply.aiter_stream():  # to its end, so that the connection serves the next one
                body += part
                if len(body) > ANSWER_BYTES:
                    break
            return ReceiverAnswer(reply.status, body[:ANSWER_BYTES])
