"""Tests of folders of images by class: the pixels are those that were written, and faults of a folder are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from search.data import load
from search.errors import EnvironmentFault, RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def draw(name: str, seed: int = 0, *, mode: str = "L", size: tuple[int, int] = (5, 4)) -> NDArray[Any]:
    """Write a random image of this width and height."""
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def folder(mode: str = "L") -> dict[str, list[NDArray[Any]]]:
    return {
        name: [draw(f"pets/{name}/{i}.png", i + len(name), mode=mode) for i in range(10)] for name in ("dog", "bird")
    }


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 3)])
def test_pixels_are_those_of_the_files(mode: str, channels: int) -> None:
    drawn = folder(mode)
    data = load("pets", scale="none")
    assert (data.classes, data.image_shape, data.pixel_max) == (("bird", "dog"), (channels, 4, 5), 255.0)
    assert data.notes == (f"pets: classification, 2 classes; images of {channels} x 4 x 5",)
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (12, 4, 4)
    expected = set()
    for label, name in enumerate(data.classes):
        for pixels in drawn[name]:
            channel_first = pixels[None] if mode == "L" else np.moveaxis(pixels[..., :3], 2, 0)
            expected.add((label, tuple(channel_first.reshape(-1).tolist())))
    parts = ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test))
    assert {(int(y), tuple(map(int, x))) for xs, ys in parts for x, y in zip(xs, ys, strict=True)} == expected
    assert load("./pets/").fingerprint() == load("pets").fingerprint()
    assert load("./pets/").name == "pets"


def test_one_coloured_image_makes_all_of_three_channels() -> None:
    folder()
    draw("pets/dog/colour.jpg", mode="RGB")
    data = load("pets", scale="none")
    assert data.image_shape == (3, 4, 5)
    grey = data.x_train.view(-1, 3, 20)
    assert sum(torch.equal(row[0], row[1]) and torch.equal(row[1], row[2]) for row in grey) >= 11


def test_hidden_and_other_files_are_ignored() -> None:
    folder()
    before = load("pets").fingerprint()
    for name in ("pets/.cache/x.png", "pets/labels.csv", "pets/dog/Thumbs.db", "pets/dog/.hidden.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("not an image")
    data = load("pets")
    assert data.fingerprint() == before
    # Hidden files, and those beside the folders of classes, are not counted.
    assert data.notes[0].endswith("images of 1 x 4 x 5; 1 file ignored: not .png or .jpg")


def link_out() -> None:
    Path("secret.png").write_bytes(Path("pets/dog/1.png").read_bytes())
    Path("pets/dog/2.png").unlink()
    Path("pets/dog/2.png").symlink_to(Path("secret.png").absolute())


def link_folder_out() -> None:
    draw("other/1.png")
    Path("pets/cat").symlink_to("../other", target_is_directory=True)


def sixteen_bits() -> None:
    Image.fromarray(np.zeros((4, 5), np.uint16)).save("pets/dog/1.png")


def change(name: str, edit: Callable[[bytes], bytes]) -> Callable[[], object]:
    return lambda: Path(name).write_bytes(edit(Path(name).read_bytes()))


@pytest.mark.parametrize(
    ("break_it", "says", "kind"),
    [
        (lambda: draw("pets/dog/9.png", size=(7, 4)), "bird/0.png is 5 x 4, dog/9.png is 7 x 4", RequestError),
        (link_out, "dog/2.png is a link that leads out of the folder", RequestError),
        (link_folder_out, "pets/cat is a link that leads out of the folder", RequestError),
        (lambda: Path("pets/cat").mkdir(), "pets: folder 'cat' holds no .png or .jpg", RequestError),
        (lambda: Path("pets/dog").rename("dog"), "at least two classes; it has 1", RequestError),
        (lambda: Path("pets").rename("x") and Path("pets").mkdir(), "at least two classes; it has none", RequestError),
        (lambda: Path("pets/dog/x.png").mkdir(), "dog/x.png is not a file", RequestError),
        (lambda: Path("pets/dog/x.png").symlink_to("nowhere.png"), "dog/x.png is not a file", RequestError),
        (lambda: Path("pets/dog/x.png").symlink_to("x.png"), "dog/x.png is a link that leads to itself", RequestError),
        (sixteen_bits, "dog/1.png has pixels of mode I;16: give grey or RGB images of 8 bits", RequestError),
        (change("pets/dog/1.png", lambda content: content[:60]), "cannot read image dog/1.png: ", EnvironmentFault),
        (change("pets/dog/1.png", lambda content: content[:20]), "cannot read image dog/1.png: ", EnvironmentFault),
        (change("pets/dog/1.png", lambda _: b""), "cannot read image dog/1.png: it is not a PNG", EnvironmentFault),
        (
            change("pets/dog/1.png", lambda _: b"GIF89a" + b"\0" * 99),
            "1.png: it is not a PNG or JPEG",
            EnvironmentFault,
        ),
    ],
    ids=range(14),
)
def test_what_is_odd_about_a_folder_is_named(break_it: Callable[[], object], says: str, kind: type[Exception]) -> None:
    folder()
    break_it()
    with pytest.raises(kind, match=says):
        load("pets")


def test_a_folder_takes_neither_target_nor_options() -> None:
    folder()
    with pytest.raises(RequestError, match="target 'x' is for a table"):
        load("pets", target="x")
    with pytest.raises(RequestError, match="pets is a folder of images, which takes no options, got task"):
        load("pets", options={"task": "regression"})
    with pytest.raises(RequestError, match="there is no dataset 'pets/dgo': did you mean 'dog'"):
        load("pets/dgo")


def test_an_image_that_is_too_large_is_refused_before_it_is_unpacked() -> None:
    folder()
    Image.new("1", (10_000, 10_000)).save("pets/bird/0.png")
    with pytest.raises(RequestError, match=r"bird/0\.png is 10000 x 10000: at most 4,194,304 pixels"):
        load("pets")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["png", "jpg"]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_images_never_surprise(suffix: str, changes: list[tuple[float, int]]) -> None:
    for name in ("a", "b"):
        for number in range(4):
            draw(f"fuzz-{suffix}/{name}/{number}.{suffix}", number)
    path = Path(f"fuzz-{suffix}/b/2.{suffix}")
    content = bytearray(path.read_bytes())
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path.write_bytes(content)
    said = ""
    try:
        load(f"fuzz-{suffix}")
    except (RequestError, EnvironmentFault) as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 600
