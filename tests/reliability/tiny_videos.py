"""A folder of tiny videos, and a search of seconds on it."""

import dataclasses
from pathlib import Path

from experiments.reliability.kill_anywhere import TINY
from tests.grey_video import write_video
from tvnjax.data.video_folder import VideoData
from tvnjax.running.config import RunConfig


def write_videos(folder: Path) -> Path:
    """Two classes that brightness tells apart, 8 videos each, no two alike."""
    for label, brightness in (("dark", 20), ("light", 150)):
        for index in range(8):
            write_video(folder / label / f"{index}.mp4", brightness + 10 * index, frames=4)
    return folder


def tiny(folder: Path) -> RunConfig:
    """A reproducible search of the videos, over all stages."""
    data = VideoData(folder=folder, temporal_jitter=0)
    return dataclasses.replace(TINY, data=data, strategies=("differentiable", "evolution"))
