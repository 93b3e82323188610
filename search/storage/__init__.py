"""The database of a study: its URL, its checks, its locks, and waiting for its server. Also files written whole."""
