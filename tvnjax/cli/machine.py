"""Results for other programs, on standard output."""

import csv
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tvnjax.core.printable import json_text, printable, standard_output


def print_json(value: Any) -> None:
    """Prints plain values as JSON, in which names are as they were."""
    with standard_output():
        print(json_text(value, indent=2))


def print_csv(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints rows as CSV under the first one's keys; what is hidden in a text is escaped, as CSV itself cannot."""
    with standard_output():
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: printable(cell) if isinstance(cell, str) else cell for key, cell in row.items()})
