"""The version of Everloop, also where it is packed without the metadata of an installed distribution."""

from __future__ import annotations

VERSION = "0.1.0"
