"""How webhooks are kept: a row each, with how far in the ledger it has come, and a row for each attempt."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, Text

from everloop.catalog.schema import Encoded, UtcTime, metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Encoded(tuple[str, ...]), nullable=False),
    Column("description", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("secret", Text, nullable=False, info={"digest": False}),
    Column("created", UtcTime, nullable=False),
    Column("updated", UtcTime, nullable=False),
    Column("told", BigInteger, nullable=False),  # The last entry of the ledger that was dealt with.
    Column("attempts", Integer, nullable=False),  # How often the entry after it was tried in vain.
    Column("due", UtcTime),  # Not before then is it tried again.
    Column("claimed", UtcTime),  # Until then one process has it.
)
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("webhook", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("message", String(32), nullable=False),
    Column("event", String(128), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)
