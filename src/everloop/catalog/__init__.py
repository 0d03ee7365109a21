"""The ledger: SQL tables, the session (one unit of work), events in a hash chain, lineage, migrations."""
