"""A drawing that shows itself in a notebook, whatever the Matplotlib backend, and can be kept as a file."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from tvnjax.core.errors import InvalidInputError
from tvnjax.core.outputs import write_output
from tvnjax.core.printable import printable
from tvnjax.report.figures.canvas import PNG_DPI, report_style, save

_FORMATS = ("png", "svg", "pdf")


class Drawing:
    """A drawn figure.

    Args:
        figure: Matplotlib's, made without pyplot.
        name: in words.
    """

    def __init__(self, figure: Figure, name: str):
        self.figure, self.name = figure, name

    def __repr__(self) -> str:
        width, height = (round(72 * side) for side in self.figure.get_size_inches())
        return printable(f"Drawing({self.name!r}, {width} × {height} points; .save(PATH) keeps it)", 200)

    def _repr_png_(self) -> bytes:
        return self._bytes("png")

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Writes it; returns the path.

        Args:
            path: ends in .png, .svg or .pdf.
            force: replace a file that is there.

        Raises:
            InvalidInputError: it ends in something else, would replace a file, or cannot be written.
        """
        path = Path(path)
        ending = path.suffix.lower().removeprefix(".")
        if ending not in _FORMATS:
            raise InvalidInputError(
                f"a drawing's file ends in {', '.join(_FORMATS)}; got {path.name!r:.100}: rename it"
            )
        write_output({path: self._bytes(ending)}, "a drawing", force=force)
        return path

    def _bytes(self, ending: str) -> bytes:
        buffer = io.BytesIO()
        metadata = {} if ending == "png" else {"Date": None} if ending == "svg" else {"CreationDate": None}
        with report_style():
            save(self.figure, buffer, format=ending, dpi=PNG_DPI, metadata=metadata)
        return buffer.getvalue()
