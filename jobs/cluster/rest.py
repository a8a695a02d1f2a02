"""Questions to the REST interface of a Flink cluster."""

import json
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

from pipeline.errors import CorpusmillError

_SECONDS = 5.0


class FlinkRest:
    """The REST interface of the job manager at `address` (`http://HOST:PORT`)."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str) -> Any:
        """The answer to one question, from JSON.

        Raises:
            CorpusmillError: nobody answers, or it is no Flink.
        """
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({})
        )  # a cluster is never behind a proxy of ours
        try:
            with opener.open(self.address + path, timeout=_SECONDS) as answer:
                return json.load(answer)
        except (URLError, OSError, ValueError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise CorpusmillError(f"no Flink answers at {self.address}: {reason}") from None

    def version(self) -> str:
        """The version of the cluster, such as `1.20.5`."""
        return str(self.get("/config").get("flink-version", ""))

    def task_managers(self) -> list[dict[str, Any]]:
        """The task managers that have reported."""
        found: list[dict[str, Any]] = self.get("/taskmanagers")["taskmanagers"]
        return found

    def overview(self) -> dict[str, Any]:
        """Slots and jobs by state."""
        found: dict[str, Any] = self.get("/overview")
        return found

    def settings(self) -> dict[str, str]:
        """The configuration of the job manager."""
        return {each["key"]: each["value"] for each in self.get("/jobmanager/config")}
