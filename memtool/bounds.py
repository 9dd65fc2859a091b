"""What a stored value has to keep to, said where its field is declared."""

from __future__ import annotations

from typing import Annotated, Any


class Within:
    """What a stored value has to keep to: ``ge``, ``pattern`` and so on in the terms of pydantic, which asks for it."""

    def __init__(self, **terms: object) -> None:
        """Take the terms."""
        self._terms = terms

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:  # noqa: ANN401
        """Return the schema of the type with the terms."""
        return {**handler(source), **self._terms}


Count = Annotated[int, Within(ge=0)]
Figure = Annotated[float, Within(ge=-1e18, le=1e18)]
"""Nanoseconds of 31 years, and bytes beyond any memory: no figure is larger."""
