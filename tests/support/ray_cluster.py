"""Start a Ray cluster of two nodes with one CPU each on this machine."""

from __future__ import annotations

import subprocess
from typing import Any


class Nodes:
    """A cluster of a head and a second node, which can be removed.

    Attributes:
        address: the address of the head.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.address: str = self._cluster.address
        self._second: Any = None
        self.add()

    def add(self) -> None:
        self._second = self._cluster.add_node(num_cpus=1)
        self._cluster.wait_for_nodes()

    def remove(self) -> None:
        """Remove the second node at once, with everything that runs there."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def processes_at_work(self) -> list[int]:
        """Return the ids of the cluster's processes that run a worker of ours."""
        raylets = ",".join(_found("-f", f"raylet.*gcs-address={self.address}"))
        return [int(one) for one in _found("-P", raylets, "-f", "^ray::work")]

    def close(self) -> None:
        import ray

        ray.shutdown()
        self._cluster.shutdown()


def _found(*words: str) -> list[str]:
    return subprocess.run(["pgrep", *words], capture_output=True, text=True).stdout.split()
