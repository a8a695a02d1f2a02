"""Beam's options, as Beam asks for them: often."""

from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions


class KeptOptions(PipelineOptions):
    """The same options; each view of them is made once.

    Beam wants a view three times for each transform, and makes a parser of arguments for each: a tenth of the time of a
    small job. All views share the values, so one that is kept says what a new one would.
    """

    def view_as(self, cls: type[Any]) -> Any:
        """These options as `cls`."""
        views: dict[type[Any], Any] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]

    def __getstate__(self) -> dict[str, Any]:
        """Without the views, which would be those of the original."""
        return {name: value for name, value in super().__getstate__().items() if name != "_views"}
