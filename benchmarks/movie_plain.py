"""The plain script of the race in `movie.py`: a Fura-2 recording with scikit-image and bioio, as a lab would write it.

    python movie_plain.py RECORDING.ome.tif MASKS.tif [--reader bioio|tifffile] [--frames 60]

The same steps as halfmax with masks given: each frame is read when its turn comes, registered against the first
(phase correlation, a twentieth of a pixel) and moved back, the median of the cell-free pixels of each channel is taken
off, cells get the mean of their pixels (`regionprops`), bleaching is made good log-linearly from the cells whose ratio
hardly changes, and ratios become calcium by Grynkiewicz.  Imports are not timed.  One line of JSON goes to standard
output: seconds, frames, peak memory of the process (MB).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops_table
from skimage.registration import phase_cross_correlation

Array = NDArray[np.float64]
#: Fura-2 of the simulated recording.
KD, RMIN, RMAX, BETA = 224e-9, 0.333, 8.0, 8.0
#: Cell-free pixels are so far from every cell; frames before the first addition; share of cells taken for quiet.
MARGIN, BEFORE, QUIET = 5, 60, 0.25
TIMES = 2.0


def bioio_frames(file: str) -> tuple[int, Callable[[int], NDArray[np.uint16]]]:
    """Number of frames, and a frame (channels, height, width) when it is asked for, through bioio."""
    from bioio import BioImage
    from bioio_ome_tiff import Reader

    image = BioImage(file, reader=Reader)
    data = image.get_image_dask_data("TCYX")
    return data.shape[0], lambda frame: data[frame].compute()


def tifffile_frames(file: str) -> tuple[int, Callable[[int], NDArray[np.uint16]]]:
    """The same through tifffile alone, page by page."""
    tif = tifffile.TiffFile(file)
    count = len(tif.pages) // 2
    return count, lambda frame: np.stack([tif.pages[2 * frame + channel].asarray() for channel in (0, 1)])


READERS = {"bioio": bioio_frames, "tifffile": tifffile_frames}


def traces(read: Callable[[int], NDArray[np.uint16]], frames: int, masks: NDArray[np.integer]) -> Array:
    """Light of each cell less background, shape (frames, cells, channels)."""
    free = ndimage.distance_transform_edt(masks == 0) > MARGIN
    result, first = [], None
    for frame in range(frames):
        page = read(frame).astype(float)
        both = page.sum(axis=0)
        first = both if first is None else first
        shift, *_ = phase_cross_correlation(first, both, upsample_factor=20)
        light = [ndimage.shift(one - np.median(one[free]), shift, order=1) for one in page]
        table = regionprops_table(masks, intensity_image=np.stack(light, axis=-1), properties=("mean_intensity",))
        result.append(np.stack([table["mean_intensity-0"], table["mean_intensity-1"]], axis=-1))
    return np.array(result)


def calcium(light: Array) -> Array:
    """Calcium of each cell, M, shape (cells, frames)."""
    time_s = TIMES * np.arange(len(light))
    ratio = light[:, :, 0] / light[:, :, 1]
    straight = [np.polyfit(time_s, one, 1, full=True)[1][0] / one.mean() ** 2 for one in np.log(ratio).T]
    quiet = np.argsort(straight)[: max(int(QUIET * ratio.shape[1]), 1)]
    lost = [np.polyfit(time_s, np.log(light[:, quiet, channel]).mean(axis=1), 1)[0] for channel in (0, 1)]
    ratio = ratio * np.exp((lost[1] - lost[0]) * time_s)[:, None]
    return (KD * BETA * (ratio - RMIN) / (RMAX - ratio)).T


def main() -> None:
    """Run once, and say what it took."""
    parser = argparse.ArgumentParser(description="A Fura-2 recording with scikit-image and bioio.")
    parser.add_argument("recording")
    parser.add_argument("masks")
    parser.add_argument("--reader", choices=READERS, default="bioio")
    parser.add_argument("--frames", type=int, help="only so many frames from the start")
    parser.add_argument("--traces", help="where calcium is written, .npy")
    asked = parser.parse_args()
    begin = time.perf_counter()
    masks = tifffile.imread(asked.masks)
    frames, read = READERS[asked.reader](asked.recording)
    frames = min(frames, asked.frames or frames)
    opened = time.perf_counter()
    light = traces(read, frames, masks)
    found = calcium(light)
    ended = time.perf_counter()
    if asked.traces:
        np.save(asked.traces, found)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"open": opened - begin, "frames": ended - opened, "count": frames, "peak_memory_mb": memory}))


if __name__ == "__main__":
    main()
