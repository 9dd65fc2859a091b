"""Constraints on stored values, declared with their fields."""

from __future__ import annotations

from typing import Annotated, Any


class Within:
    """Constraints on a stored value: ``ge``, ``pattern`` and so on, as in pydantic, which asks for them."""

    def __init__(self, **terms: object) -> None:
        """``terms``: the constraints."""
        self._terms = terms

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:  # noqa: ANN401
        """Return the schema of the type with the constraints."""
        return {**handler(source), **self._terms}


Count = Annotated[int, Within(ge=0)]
Figure = Annotated[float, Within(ge=-1e18, le=1e18)]
"""Nanoseconds of 31 years, and bytes beyond any memory: no figure is larger."""
