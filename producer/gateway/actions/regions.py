"""DescribeRegions: this installation is one region."""

from collections.abc import Mapping

from ...api import Assistant
from .action import Action, Call, Fields


class RegionActions:
    """The one region, under the id that the settings give it."""

    def __init__(self, assistant: Assistant) -> None:
        self._gateway = assistant.settings.gateway

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {"DescribeRegions": self.describe_regions}

    def describe_regions(self, call: Call) -> Fields:
        """Name the region; the endpoint is the one that the client has already found."""
        region = {
            "RegionId": self._gateway.region_id,
            "LocalName": self._gateway.region_id,
            "RegionEndpoint": call.called_name or f"{self._gateway.host}:{self._gateway.port}",
            "Status": "available",
        }
        return {"Regions": {"Region": [region]}}
