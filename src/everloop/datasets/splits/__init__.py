"""Parts of datasets that share nothing, and where the rows of a subject went."""
