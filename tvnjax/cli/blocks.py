"""Blocks that options add behind the preset's, and those that ``num_blocks`` leaves out."""

import copy
import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from tvnjax.core.errors import InvalidInputError

MAX_BLOCKS = 8


def with_added_blocks(config: Any, words: Sequence[str]) -> Any:
    """The configuration with the blocks that options name behind the last; each begins as a copy of the last.

    Raises:
        InvalidInputError: a network would have more than 8 blocks, or one between them is missing.
    """
    blocks = config.shapes.blocks
    for index in sorted(set(_block_options(words))):
        if index < len(blocks):
            continue
        if index >= MAX_BLOCKS:
            raise InvalidInputError(
                f"a network has 1 to {MAX_BLOCKS} blocks, counted from 0; got shapes.blocks.{index}"
            )
        if index > len(blocks):
            raise InvalidInputError(
                f"blocks are counted from 0 and none is left out; the next is shapes.blocks.{len(blocks)}, got "
                f"shapes.blocks.{index}"
            )
        blocks = (*blocks, blocks[-1])
    made = copy.copy(config)
    # Not made anew: its num_blocks may be another in the end, and would now leave out what was added.
    object.__setattr__(made, "shapes", dataclasses.replace(config.shapes, blocks=blocks))
    return made


def check_blocks_kept(config: Any, listed: int, words: Sequence[str]) -> list[int]:
    """Blocks with options of their own that no network has, because ``num_blocks`` leaves them out.

    Args:
        config: what came of the options.
        listed: blocks there were before options added some.
        words: the options.

    Raises:
        InvalidInputError: a block was added and is left out.
    """
    kept = len(config.shapes.blocks)
    dropped = sorted({index for index in _block_options(words) if index >= kept})
    if dropped and dropped[-1] >= listed:
        raise InvalidInputError(
            f"shapes.blocks.{dropped[-1]} was added, and shapes.num_blocks {config.shapes.num_blocks} leaves it out: "
            f"give --shapes.num-blocks {dropped[-1] + 1}, or also the numbers below"
        )
    return dropped


def _block_options(words: Sequence[str]) -> list[int]:
    found = (re.match(r"--shapes\.blocks\.(\d{1,6})\.", word) for word in words)
    return [int(match[1]) for match in found if match]
