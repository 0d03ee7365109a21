"""The use cases of this part of datasets; written next."""
