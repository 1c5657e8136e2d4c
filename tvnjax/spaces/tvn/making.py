"""The TVN space of a configuration."""

from tvnjax.spaces.tvn.relaxed import OperatorChoices, relax_plan
from tvnjax.spaces.tvn.search_space import SearchSpace, search_space
from tvnjax.spaces.tvn.shapes import ShapeChoices, ShapeSpace


def tvn_space(shapes: ShapeChoices, operators: OperatorChoices, clip_frames: int) -> SearchSpace:
    """All networks of some values of the genes.

    Args:
        clip_frames: of the longest clip.

    Raises:
        InvalidInputError: a value is one no network can have.
    """
    plans = ShapeSpace(shapes, clip_frames)
    space = search_space(plans, operators)
    relax_plan(plans.roomiest(), operators)  # refuses a gene no value of which is legal there
    return space
