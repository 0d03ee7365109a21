"""Names: what a model, an endpoint, a namespace, a host and an image are called where they are deployed."""

from __future__ import annotations

import re
from hashlib import blake2b

from everloop.kernel.errors import InvalidInput

LONGEST = 52
"""Longer than any name that we derive further ones from: a suffix still fits the 63 characters of a label."""
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*(?::[0-9]{1,5})?/)?"
    rf"{_COMPONENT}(?:/{_COMPONENT})*(?P<tag>:[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}})?(?P<digest>@sha256:[0-9a-f]{{64}})?"
)
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def label(name: str, longest: int = LONGEST) -> str:
    """A name as every platform takes it: small letters, digits and single dashes, beginning with a letter.

    A name that had to be changed ends with a mark of what it was, so that two names never become one.

    >>> label("late-flights")
    'late-flights'
    >>> label("Late_Flights")
    'late-flights-d80ee9'
    """
    if _LABEL.fullmatch(name) and len(name) <= longest and "--" not in name:
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"m-{plain}".rstrip("-")
    mark = blake2b(name.encode(), digest_size=3).hexdigest()
    return f"{plain[: longest - len(mark) - 1].rstrip('-')}-{mark}"


def checked_label(what: str, name: str) -> str:
    """A name that is a label already.

    Raises:
        InvalidInput: it is none.
    """
    if _LABEL.fullmatch(name) is None:
        raise InvalidInput(
            f"{name!r} is no name of a {what}.", hint="Use up to 63 small letters, digits and dashes, a letter first."
        )
    return name


def checked_host(host: str) -> str:
    """The name of a host.

    Raises:
        InvalidInput: it is none.
    """
    if _HOST.fullmatch(host) is None:
        raise InvalidInput(f"{host!r} is no name of a host.", hint="Write it like late.example.org.")
    return host


def pinned_image(image: str, tag: str, digest: str = "") -> str:
    """An image by its digest where one is known; a name without tag or digest gets the tag.

    Raises:
        InvalidInput: it is no name of an image.
    """
    match = _IMAGE.fullmatch(image)
    if match is None:
        raise InvalidInput(
            f"{image[:200]!r} is not the name of an image.",
            hint="Write it as registry/name:tag or registry/name@sha256:….",
        )
    if match["tag"] or match["digest"]:
        return image
    return f"{image}@sha256:{digest}" if digest else f"{image}:{tag}"


def is_exact(image: str) -> bool:
    """Whether an image's name already says which one is meant, by a tag or a digest."""
    match = _IMAGE.fullmatch(image)
    return match is not None and bool(match["tag"] or match["digest"])
