"""Several processes for one study: workers on this machine or on a cluster."""
