"""Trained networks by name or path."""

from pathlib import Path
from typing import TYPE_CHECKING

from tvnjax.core.errors import InvalidInputError, did_you_mean

if TYPE_CHECKING:
    from tvnjax.api.model import Model


def load(network: str | Path, checkpoint: str | Path | None = None) -> "Model":
    """A trained network.

    Args:
        network: a run of ``tvnjax train``; a folder of a run's ``checkpoints/``; a search's run, if it found a single
            network (``open_run(...).model(...)`` chooses among several). With ``checkpoint``, a name of the zoo or a
            genotype's file.
        checkpoint: the weights of such a network, which are checked to be its own.

    Raises:
        InvalidInputError: there is none, its files are damaged, or the weights are another network's.
    """
    from tvnjax.api.model import Model
    from tvnjax.training.exporting import network_to_export
    from tvnjax.training.saved import open_saved
    from tvnjax.zoo.registry import ZOO

    path = Path(network)
    if checkpoint is not None:
        weights = Path(checkpoint)
        if str(network) not in ZOO and path.suffix != ".json":
            raise InvalidInputError(
                f"a checkpoint is given with a name of the zoo or a genotype's file; got {str(network)!r:.100}"
                f"{did_you_mean(str(network), ZOO)}: or load the checkpoint alone"
            )
        return Model(network_to_export(str(network), weights))
    if path.exists():
        return Model(open_saved(_only_network(path)))
    if str(network) in ZOO:
        raise InvalidInputError(
            f"networks of the zoo come without weights; name some for {network}: tvnjax.load({str(network)!r}, "
            f"checkpoint=...), from 'tvnjax train {network} ...'"
        )
    raise InvalidInputError(
        f"a trained network is a run's directory, a checkpoint, or a name of the zoo with a checkpoint; there is no "
        f"{str(network)!r:.200}{did_you_mean(str(network), ZOO)}: check the path"
    )


def _only_network(path: Path) -> Path:
    """The checkpoint of a search's run that has one network; other paths as they are."""
    if (path / "results.json").is_file() and not (path / "network.json").is_file():
        names = [file.stem for file in (path / "genotypes").glob("*.json")]
        if len(names) == 1:
            return path / "checkpoints" / names[0]
    return path
