"""DVC's repositories: read from their metafiles and caches, and written so that DVC finds them clean."""
