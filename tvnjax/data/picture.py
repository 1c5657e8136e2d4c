"""Stand-in."""

from typing import Any


def describe_picture(fit: str) -> dict[str, Any]:
    return {"fit": fit}
