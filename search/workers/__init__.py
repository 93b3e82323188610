"""More than one process for one study: workers of this machine; on other machines, the same command on one storage."""
