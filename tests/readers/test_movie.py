"""Recordings: what a file says of its pages, what is read, and how each fault is named."""

from __future__ import annotations

import gc
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from halfmax.errors import FileError, RangeError
from halfmax.movie import Movie
from halfmax.readers.movie import open_movie
from halfmax.virtual import simulate_movie, small_design

FRAMES, HEIGHT, WIDTH = 6, 20, 30
INTERVAL_GIVEN = {"interval": 2.0}


@pytest.fixture
def stack() -> np.ndarray:
    """Pages that are all different: (frames, 2, height, width)."""
    rng = np.random.default_rng(5)
    return rng.integers(100, 4000, (FRAMES, 2, HEIGHT, WIDTH), dtype=np.uint16)


def assert_same(movie: Movie, stack: np.ndarray) -> None:
    assert (movie.frames, len(movie.channels)) == stack.shape[:2]
    for frame, channel in np.ndindex(stack.shape[:2]):
        page = movie.page(frame, channel)
        assert page.dtype == movie.dtype
        assert page.dtype.isnative
        np.testing.assert_array_equal(page, stack[frame, channel])


def write_ome(path: Path, stack: np.ndarray, **metadata: object) -> Path:
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "TCYX", **metadata})
    return path


def edited(path: Path, old: str, new: str) -> Path:
    """The same file with another word of the same length in its description."""
    assert len(old) == len(new)
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode()))
    return path


# What a file says


def test_virtual_recording_is_read_with_its_times_channels_and_range(tmp_path: Path) -> None:
    design = small_design(frames=5)
    truth = simulate_movie(tmp_path / "dish.ome.tif", design, seed=3)
    movie = open_movie(tmp_path / "dish.ome.tif")
    assert movie.simulated
    assert movie.channels == ("340", "380")
    assert movie.shape == design.shape
    assert movie.pixel_um == pytest.approx(design.pixel_um)
    assert movie.saturated == design.camera.full_scale
    assert movie.notes == ()
    np.testing.assert_allclose(movie.time_s, truth.time_s)
    assert_same(movie, tifffile.imread(tmp_path / "dish.ome.tif"))


def test_ome_times_and_pixels_carry_their_units(tmp_path: Path, stack: np.ndarray) -> None:
    plane = {"DeltaT": list(range(1000, 1000 + 500 * 2 * FRAMES, 500)), "DeltaTUnit": ["ms"] * 2 * FRAMES}
    metadata = {"Plane": plane, "PhysicalSizeX": 650.0, "PhysicalSizeXUnit": "nm", "SignificantBits": 12}
    movie = open_movie(write_ome(tmp_path / "a.ome.tif", stack, Channel={"Name": ["340", "380"]}, **metadata))
    assert movie.pixel_um == pytest.approx(0.65)
    np.testing.assert_allclose(movie.time_s, np.arange(2 * FRAMES).reshape(FRAMES, 2) * 0.5)
    assert movie.saturated == 4095
    assert movie.channels == ("340", "380")


def test_ome_time_increment_counts_where_no_plane_has_a_time(tmp_path: Path, stack: np.ndarray) -> None:
    movie = open_movie(write_ome(tmp_path / "a.ome.tif", stack, TimeIncrement=0.25, TimeIncrementUnit="min"))
    np.testing.assert_allclose(movie.time_s[:, 1], np.arange(FRAMES) * 15.0)


def test_ome_order_of_pages_is_followed(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", stack.swapaxes(0, 1), ome=True, metadata={"axes": "CTYX"})
    assert_same(open_movie(tmp_path / "a.ome.tif"), stack)


def test_renamed_ome_file_is_its_own_file(tmp_path: Path, stack: np.ndarray) -> None:
    write_ome(tmp_path / "a.ome.tif", stack).rename(tmp_path / "b.ome.tif")
    assert_same(open_movie(tmp_path / "b.ome.tif"), stack)


def ome_of_two_files(folder: Path, stack: np.ndarray) -> Path:
    """One channel a file, as Micro-Manager splits a recording; both carry the same XML."""
    blocks = "".join(
        f'<TiffData FirstC="{c}" FirstT="{t}" FirstZ="0" IFD="{t}" PlaneCount="1">'
        f'<UUID FileName="part{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>'
        for c in range(2)
        for t in range(FRAMES)
    )
    for c in range(2):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{c}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
            f'SizeX="{WIDTH}" SizeY="{HEIGHT}" SizeC="2" SizeZ="1" SizeT="{FRAMES}">'
            f'<Channel ID="Channel:0:0" Name="340"/><Channel ID="Channel:0:1" Name="380"/>{blocks}'
            "</Pixels></Image></OME>"
        )
        tifffile.imwrite(folder / f"part{c}.ome.tif", stack[:, c], description=xml, metadata=None)
    return folder / "part0.ome.tif"


def test_ome_recording_in_several_files_is_one(tmp_path: Path, stack: np.ndarray) -> None:
    movie = open_movie(ome_of_two_files(tmp_path, stack))
    assert movie.channels == ("340", "380")
    assert [path.name for path in movie.files] == ["part0.ome.tif", "part1.ome.tif"]
    assert_same(movie, stack)


def test_second_file_opened_alone_is_still_the_recording(tmp_path: Path, stack: np.ndarray) -> None:
    ome_of_two_files(tmp_path, stack)
    assert_same(open_movie(tmp_path / "part1.ome.tif"), stack)


def test_missing_second_file_is_named(tmp_path: Path, stack: np.ndarray) -> None:
    path = ome_of_two_files(tmp_path, stack)
    (tmp_path / "part1.ome.tif").unlink()
    with pytest.raises(FileError, match=r'part0\.ome\.tif: some of its pages are in "part1\.ome\.tif"'):
        open_movie(path)


def test_imagej_hyperstack_gives_interval_scale_and_labels(tmp_path: Path, stack: np.ndarray) -> None:
    labels = ["340", "380"] * FRAMES
    metadata = {"axes": "TCYX", "finterval": 1.5, "unit": "um", "Labels": labels}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata=metadata, resolution=(2.0, 2.0))
    movie = open_movie(tmp_path / "a.tif")
    assert movie.channels == ("340", "380")
    assert movie.pixel_um == pytest.approx(0.5)
    np.testing.assert_allclose(movie.time_s[:, 0], np.arange(FRAMES) * 1.5)
    assert_same(movie, stack)


def test_imagej_slices_are_frames_with_a_note(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack[:, 0], imagej=True, metadata={"axes": "ZYX"})
    movie = open_movie(tmp_path / "a.tif")
    assert movie.frames == FRAMES
    assert any("slices" in note for note in movie.notes)


def test_axes_of_tifffile_are_followed(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, metadata={"axes": "TCYX"})
    assert_same(open_movie(tmp_path / "a.tif"), stack)


def test_time_nobody_tells_is_missing_with_a_note(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack[:, 0], metadata=None)
    movie = open_movie(tmp_path / "a.tif")
    assert np.isnan(movie.time_s).all()
    assert movie.channels == ("",)
    assert movie.saturated == 65535
    assert any("interval" in note for note in movie.notes)
    assert any("65535" in note for note in movie.notes)


def test_interval_goes_before_the_file_and_says_so(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TCYX", "finterval": 1.5})
    movie = open_movie(tmp_path / "a.tif", interval=2.0)
    np.testing.assert_allclose(movie.time_s[:, 1], np.arange(FRAMES) * 2.0)
    assert any("replaces the file's own, 1.5 s" in note for note in movie.notes)


def test_real_fura2_movie_is_read(data: Path) -> None:
    path = data / "calcium" / "fura2_ccd" / "adu340_4small_TYX.tif"
    movie = open_movie(path, channels=("340",), interval=0.1)
    assert (movie.frames, movie.shape, movie.channels) == (128, (50, 50), ("340",))
    assert_same(movie, tifffile.imread(path)[:, None])


# Channels in a plain stack


def test_plain_stack_is_divided_interleaved(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack.reshape(-1, HEIGHT, WIDTH), metadata=None)
    movie = open_movie(tmp_path / "a.tif", channels=("340", "380"), **INTERVAL_GIVEN)
    assert movie.channels == ("340", "380")
    assert_same(movie, stack)


def test_plain_stack_is_divided_planar(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack.swapaxes(0, 1).reshape(-1, HEIGHT, WIDTH), metadata=None)
    assert_same(open_movie(tmp_path / "a.tif", channels=("340", "380"), order="planar"), stack)


def test_several_files_are_one_channel_each(tmp_path: Path, stack: np.ndarray) -> None:
    paths = [tmp_path / "f340.tif", tmp_path / "f380.tif"]
    for channel, path in enumerate(paths):
        tifffile.imwrite(path, stack[:, channel], metadata=None)
    movie = open_movie(paths, interval=1.0)
    assert movie.channels == ("f340", "f380")
    assert_same(movie, stack)
    with pytest.raises(RangeError, match="channels 0 to 1"):
        movie.page(0, 2)


def test_files_of_other_length_are_refused(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack[:, 0], metadata=None)
    tifffile.imwrite(tmp_path / "b.tif", stack[:-1, 1], metadata=None)
    with pytest.raises(FileError, match=r"b\.tif: expected 6 frames of 20 × 30 uint16 as in a\.tif, found 5"):
        open_movie([tmp_path / "a.tif", tmp_path / "b.tif"])


def test_wrong_number_of_names_is_refused(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_ome(tmp_path / "a.ome.tif", stack)
    with pytest.raises(FileError, match="expected 2 names of channels, as the file has 2, found 3"):
        open_movie(path, channels=("a", "b", "c"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"channels": "340"}, "channels: expected different names"),
        ({"channels": ("a", "a")}, "channels: expected different names"),
        ({"interval": 0.0}, "interval: expected seconds above 0, found 0"),
        ({"order": "planer"}, 'found "planer". Did you mean "planar"'),
    ],
)
def test_parameters_that_mean_nothing_are_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(RangeError, match=message):
        open_movie("a.tif", **asked)  # type: ignore[arg-type]


# How pages lie in a file


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "float32"])
def test_pages_of_any_byte_order_and_type_are_native(
    tmp_path: Path, stack: np.ndarray, byteorder: str, dtype: str
) -> None:
    values = (stack % 200).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=byteorder, metadata={"axes": "TCYX"})
    movie = open_movie(tmp_path / "a.tif")
    assert movie.dtype == np.dtype(dtype)
    assert_same(movie, values)


@pytest.mark.parametrize(
    "options",
    [{"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 7}, {"bigtiff": True}, {"contiguous": False}],
)
def test_compressed_tiled_stripped_and_big_files_are_read(
    tmp_path: Path, stack: np.ndarray, options: dict[str, object]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, metadata={"axes": "TCYX"}, **options)  # type: ignore[arg-type]
    assert_same(open_movie(tmp_path / "a.tif"), stack)


def test_damaged_compressed_page_is_named(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, compression="zlib", metadata={"axes": "TCYX"})
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[5].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start + 20 : start + 60] = bytes(40)
    path.write_bytes(content)
    movie = open_movie(path, frames=2)
    np.testing.assert_array_equal(movie.page(1, 1), stack[1, 1])
    with pytest.raises(
        FileError, match=r"a\.tif, frame 3: the page cannot be decoded .* Copy or export the file again"
    ):
        open_movie(path).page(2, 1)


def test_floats_have_no_range(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack.astype("float32"), metadata={"axes": "TCYX"})
    movie = open_movie(tmp_path / "a.tif")
    assert movie.saturated == np.inf
    assert any("floats" in note for note in movie.notes)


def test_8_bit_grey_is_read_with_a_note(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", (stack[:, 0] % 256).astype("uint8"), metadata=None)
    movie = open_movie(tmp_path / "a.tif")
    assert movie.saturated == 255
    assert any("8-bit" in note for note in movie.notes)


def test_page_belongs_to_the_caller_and_two_movies_are_independent(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_ome(tmp_path / "a.ome.tif", stack)
    one, two = open_movie(path), open_movie(path)
    page = one.page(2, 1)
    page[:] = 0
    np.testing.assert_array_equal(one.page(2, 1), stack[2, 1])
    np.testing.assert_array_equal(two.page(0, 0), stack[0, 0])
    np.testing.assert_array_equal(one.page(3, 0), stack[3, 0])
    with pytest.raises(RangeError, match="frame 6, channel 0: expected frames 0 to 5"):
        one.page(FRAMES, 0)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_files_are_closed_with_the_movie(tmp_path: Path, stack: np.ndarray, options: dict[str, str]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, metadata={"axes": "TCYX"}, **options)

    def is_open() -> bool:
        descriptors = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        return any(os.path.islink(link) and os.readlink(link).endswith("a.tif") for link in descriptors)

    movie = open_movie(tmp_path / "a.tif")
    movie.page(0, 0)
    assert is_open()
    del movie
    gc.collect()
    assert not is_open()


# Files that are not whole


def first_byte(path: Path) -> int:
    with tifffile.TiffFile(path) as tif:
        return tif.pages.first.dataoffsets[0]


def test_file_cut_off_in_mid_page_says_how_many_frames_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "dish.ome.tif"
    design = small_design(frames=6)
    simulate_movie(path, design, seed=3)
    stack = tifffile.imread(path)
    os.truncate(path, first_byte(path) + 7 * stack[0, 0].nbytes + 100)
    with pytest.raises(FileError, match=r"cut off: 6 frames of 2 channels are declared, 3 frames are whole .*frames=3"):
        open_movie(path)
    movie = open_movie(path, frames=3)
    assert_same(movie, stack[:3])
    assert movie.time_s.shape == (3, 2)
    assert "The first 3 of 6 frames are read." in movie.notes
    with pytest.raises(FileError, match="3 frames are whole"):
        open_movie(path, frames=4)


def test_cut_file_whose_description_stood_at_its_end_asks_for_channels(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_ome(tmp_path / "a.ome.tif", stack)
    os.truncate(path, first_byte(path) + 7 * HEIGHT * WIDTH * 2 + 100)
    with pytest.raises(FileError, match=r"is cut off, and what it said of its channels is lost .* 7 frames are whole"):
        open_movie(path)
    with pytest.raises(FileError, match="about 6 frames of 2 channels, 3 frames are whole"):
        open_movie(path, channels=("340", "380"))
    assert_same(open_movie(path, channels=("340", "380"), frames=3), stack[:3])


def test_cut_imagej_stack_says_how_many_frames_are_whole(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TCYX"})
    os.truncate(path, first_byte(path) + 9 * HEIGHT * WIDTH * 2 - 1)
    with pytest.raises(FileError, match="4 frames are whole"):
        open_movie(path)
    assert_same(open_movie(path, frames=4), stack[:4])


def test_cut_file_with_a_directory_at_each_page_is_seen(tmp_path: Path, stack: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in stack.reshape(-1, HEIGHT, WIDTH):
            writer.write(page, contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as tif:
        inside, between = tif.pages[5].dataoffsets[0] + 50, tif.pages[5].offset + 4
    for end, whole in ((inside, 2), (between, 2)):
        os.truncate(path, end)
        with pytest.raises(FileError, match=rf"a\.tif: the file is cut off.* {whole} frames are whole"):
            open_movie(path, channels=("340", "380"))
        assert_same(open_movie(path, channels=("340", "380"), frames=whole), stack[:whole])


def test_cut_before_the_first_page_is_named(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_ome(tmp_path / "a.ome.tif", stack)
    os.truncate(path, 12)
    with pytest.raises(FileError, match=r"ends before its first page is described \(12 bytes\)"):
        open_movie(path)


def test_odd_number_of_pages_is_a_dropped_page(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack.reshape(-1, HEIGHT, WIDTH)[:-1], metadata=None)
    with pytest.raises(FileError, match="each of the 2 channels 340, 380, found 11: 5 whole frames and 1 over"):
        open_movie(tmp_path / "a.tif", channels=("340", "380"))


def test_fewer_pages_than_declared_is_a_dropped_page(tmp_path: Path, stack: np.ndarray) -> None:
    path = write_ome(tmp_path / "a.ome.tif", stack)
    with pytest.raises(FileError, match=r"7 frames of 2 channels are declared, which is 14 pages, found 12.*dropped"):
        open_movie(edited(edited(path, 'SizeT="6"', 'SizeT="7"'), 'PlaneCount="12"', 'PlaneCount="14"'))


def test_frame_without_a_channel_is_named(tmp_path: Path, stack: np.ndarray) -> None:
    blocks = "".join(
        f'<TiffData FirstC="{page % 2}" FirstT="{page // 2}" FirstZ="0" IFD="{page}" PlaneCount="1"/>'
        for page in range(2 * FRAMES)
        if page != 7
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="{WIDTH}" '
        f'SizeY="{HEIGHT}" SizeC="2" SizeZ="1" SizeT="{FRAMES}"><Channel ID="Channel:0:0" Name="340"/>'
        f'<Channel ID="Channel:0:1" Name="380"/>{blocks}</Pixels></Image></OME>'
    )
    tifffile.imwrite(tmp_path / "a.ome.tif", stack.reshape(-1, HEIGHT, WIDTH), description=xml, metadata=None)
    with pytest.raises(FileError, match=r"frame 4 lacks channel 380; .*frames=3"):
        open_movie(tmp_path / "a.ome.tif")
    assert open_movie(tmp_path / "a.ome.tif", frames=3).frames == 3


def test_sparse_file_of_16_gb_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "reserved.tif"
    tifffile.imwrite(path, shape=(4096, 2, 1024, 1024), dtype="uint16", bigtiff=True, metadata={"axes": "TCYX"})
    assert path.stat().st_size > 16e9
    begin = time.monotonic()
    with pytest.raises(FileError, match="nothing but zeros on 8 pages spread over its 4096 frames"):
        open_movie(path)
    assert time.monotonic() - begin < 30


def test_file_of_zeros_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reserved.tif"
    path.touch()
    os.truncate(path, 16 * 2**30)
    with pytest.raises(FileError, match=r"expected a recording .* found nothing but zeros at its start"):
        open_movie(path)


def test_channel_of_zeros_is_named(tmp_path: Path, stack: np.ndarray) -> None:
    stack[:, 1] = 0
    path = write_ome(tmp_path / "a.ome.tif", stack, Channel={"Name": ["340", "380"]})
    with pytest.raises(FileError, match=r"a\.ome\.tif, channel 380: .*nothing but zeros"):
        open_movie(path)


# Files that are no recordings


def test_rgb_is_an_export_for_the_eye(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 20, 30, 3), 90, dtype="uint8"), photometric="rgb")
    with pytest.raises(FileError, match="8-bit RGB: an export for the eye, intensities were rescaled; export the raw"):
        open_movie(tmp_path / "a.tif")


def test_one_frame_is_refused_unless_it_is_asked_for(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack[0, 0], metadata=None)
    with pytest.raises(FileError, match=r"expected a time course, found one frame.*frames=1"):
        open_movie(tmp_path / "a.tif")
    assert open_movie(tmp_path / "a.tif", frames=1).frames == 1


def test_pages_of_several_shapes_are_refused(tmp_path: Path, stack: np.ndarray) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(stack[:, 0], metadata=None)
        writer.write(np.ones((10, 30), dtype="uint16"), metadata=None)
    with pytest.raises(FileError, match=r"page 7: expected 20 × 30 pixels of 16 bits as on page 1, found 10 × 30"):
        open_movie(tmp_path / "a.tif")


def test_stack_of_depth_is_refused(tmp_path: Path, stack: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(FileError, match="expected one plane of depth, found 2 in each of 6 frames"):
        open_movie(tmp_path / "a.tif")


def test_several_recordings_in_one_file_need_a_choice(tmp_path: Path, stack: np.ndarray) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        for part in (stack, stack[::-1]):
            writer.write(part, metadata={"axes": "TCYX"}, photometric="minisblack")
    with pytest.raises(FileError, match=r"expected one recording, found 2 \(images 0, 1\)"):
        open_movie(tmp_path / "a.ome.tif")
    assert_same(open_movie(tmp_path / "a.ome.tif", image=1), stack[::-1])


def test_times_that_do_not_rise_are_refused(tmp_path: Path, stack: np.ndarray) -> None:
    plane = {"DeltaT": [0.0, 0.1, 1.0, 1.1, 0.5, 0.6, 3.0, 3.1, 4.0, 4.1, 5.0, 5.1]}
    path = write_ome(tmp_path / "a.ome.tif", stack, Plane=plane)
    with pytest.raises(FileError, match="times that rise from frame to frame, found frame 3 not after frame 2"):
        open_movie(path)
    assert open_movie(path, interval=1.0).time_s[-1, 0] == 5.0


def test_text_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("time,signal\n0,1\n")
    with pytest.raises(FileError, match=r"a\.tif: expected a recording .* found other content"):
        open_movie(tmp_path / "a.tif")


def test_missing_file_is_answered_with_its_neighbour(tmp_path: Path, stack: np.ndarray) -> None:
    write_ome(tmp_path / "dish1.ome.tif", stack)
    with pytest.raises(FileError, match=r'no such file. Did you mean "dish1\.ome\.tif"'):
        open_movie(tmp_path / "dish2.ome.tif")


def test_directories_in_a_circle_are_refused(tmp_path: Path) -> None:
    entry = b"\x01\x00" + b"\x00\x01\x03\x00\x01\x00\x00\x00\x04\x00\x00\x00" + b"\x08\x00\x00\x00"
    (tmp_path / "a.tif").write_bytes(b"II*\x00\x08\x00\x00\x00" + entry)
    with pytest.raises(FileError, match="run in a circle"):
        open_movie(tmp_path / "a.tif")


# The makers' formats


HEADS = {
    "nd2": b"\xda\xce\xbe\x0a" + bytes(60),
    "czifile": b"ZISRAWFILE" + bytes(600),
    "liffile": b"\x70\x00\x00\x00" + bytes(60),
}


@pytest.mark.parametrize(("module", "extra"), [("nd2", "nd2"), ("czifile", "czi"), ("liffile", "lif")])
def test_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    (tmp_path / "a.bin").write_bytes(HEADS[module])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FileError, match=re.escape(f'Install it with "pip install halfmax[{extra}]"')):
        open_movie(tmp_path / "a.bin")


@pytest.mark.parametrize("module", ["nd2", "czifile", "liffile"])
def test_damaged_maker_file_is_named(tmp_path: Path, module: str) -> None:
    pytest.importorskip(module)
    (tmp_path / "a.bin").write_bytes(HEADS[module])
    with pytest.raises(FileError, match=r"a\.bin: cannot be read"):
        open_movie(tmp_path / "a.bin")
