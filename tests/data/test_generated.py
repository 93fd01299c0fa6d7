"""Generated scenes: geometry that agrees with itself, in the layout of the real data, and something to learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.mtan import NYUv2MTAN
from mtlsweep.suites.datasets.readers.normals_from_depth import normals_from_depth
from mtlsweep.suites.datasets.rooms import CEILING, FLOOR, WALL, Rooms, furnished_room
from mtlsweep.suites.datasets.scenes.ray_caster import FOCAL_LENGTH, Camera, Scene, Surface, View, draw
from mtlsweep.suites.datasets.street import (
    CONSTRUCTION,
    FLAT,
    LARGEST_INVERSE_DEPTH,
    SKY,
    Street,
    road_between_buildings,
)
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import open_prepared

SIZE = (64, 96)


def plain(label: int) -> Surface:
    return Surface(label, np.full(3, 0.5), np.zeros((2, 3)), 0.0)


def empty_room(camera: Camera) -> Scene:
    faces = tuple(plain(label) for label in range(6))  # left, floor, back, right, ceiling, front
    return Scene(camera, np.array((0, 2.0, 1)), np.array((-2.0, 0, -1)), np.array((2.0, 3, 5)), faces)


def view_of(scene: Scene, size: tuple[int, int] = SIZE) -> View:
    return draw(scene, size, np.random.default_rng(0))


def test_a_wall_ahead_has_constant_depth_and_looks_at_the_viewer() -> None:
    view = view_of(empty_room(Camera(np.array((0, 1.5, 1.0)), yaw=0.0, pitch=0.0)))
    ahead = view.label == 5
    np.testing.assert_allclose(view.depth[ahead], 4.0, rtol=1e-5)
    np.testing.assert_allclose(view.normal[ahead], np.array([(0, 0, 1.0)]).repeat(ahead.sum(), 0), atol=1e-6)
    assert view.label[0, 48] == 4 or view.label[0, 48] == 5
    assert {int(view.label[32, 0]), int(view.label[32, -1]), int(view.label[-1, 48])} == {0, 3, 1}


def test_floors_look_up_however_the_viewer_turns() -> None:
    for yaw in (0.0, 1.0, 4.0):
        view = view_of(empty_room(Camera(np.array((0, 1.5, 1.0)), yaw=yaw, pitch=-0.4)))
        floor = view.label == 1
        expected = (0, np.cos(0.4), np.sin(0.4))  # looking down, up comes towards the viewer
        np.testing.assert_allclose(view.normal[floor].mean(axis=0), expected, atol=1e-4)


def test_a_ball_is_where_the_pinhole_puts_it() -> None:
    scene = empty_room(Camera(np.array((0, 1.5, 0.0)), yaw=0.0, pitch=0.0))
    scene.balls.append((np.array((0.5, 1.8, 3.0)), 0.3, plain(7)))
    view = view_of(scene)
    rows, columns = np.nonzero(view.label == 7)
    pixels = FOCAL_LENGTH * SIZE[1]
    assert columns.mean() == pytest.approx(47.5 + pixels * 0.5 / 3, abs=0.6)
    assert rows.mean() == pytest.approx(31.5 - pixels * 0.3 / 3, abs=0.6)
    assert view.depth[view.label == 7].min() == pytest.approx(2.7, abs=0.02)


def test_what_is_nearer_hides_what_is_behind() -> None:
    scene = empty_room(Camera(np.array((0, 1.5, 0.0)), yaw=0.0, pitch=0.0))
    for z, label in ((3.0, 8), (2.0, 9), (4.0, 10)):
        scene.boxes.append((np.array((0, 1.5, z)), np.array((0.3, 0.3, 0.1)), 0.3, plain(label)))
    view = view_of(scene)
    assert view.label[32, 48] == 9
    assert not (view.label == 10).any()


@pytest.mark.parametrize("make", [furnished_room, road_between_buildings])
def test_drawing_a_window_of_each_thing_draws_all_of_it(
    make: Callable[[np.random.Generator], Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boxes are met inside their outline only; met everywhere they look the same."""
    from mtlsweep.suites.datasets.scenes import ray_caster as rendering

    scenes = [make(np.random.default_rng(seed)) for seed in range(12)]
    fast = [view_of(scene) for scene in scenes]
    monkeypatch.setattr(rendering, "NEAR", np.inf)
    for view, slow in zip(fast, map(view_of, scenes), strict=True):
        assert np.array_equal(view.label, slow.label)
        assert np.array_equal(view.depth, slow.depth)
        assert np.array_equal(view.image, slow.image)


def test_normals_agree_with_depth() -> None:
    """The normals that the depth implies are those that were drawn, away from edges."""
    size, angles = (240, 320), []
    for seed in range(4):
        view = view_of(furnished_room(np.random.default_rng(seed)), size)
        pixels = FOCAL_LENGTH * size[1]
        implied = normals_from_depth(view.depth, (pixels, pixels), (size[1] / 2 - 0.5, size[0] / 2 - 0.5))
        valid = implied.any(axis=0)
        cosine = (implied * view.normal.transpose(2, 0, 1)).sum(axis=0)[valid]
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    assert np.median(np.concatenate(angles)) < 0.5
    assert np.mean(np.concatenate(angles) < 5) > 0.85  # the rest lies where two surfaces meet


@pytest.mark.parametrize("make", [furnished_room, road_between_buildings])
def test_every_normal_has_length_1_and_faces_the_viewer(make: Callable[[np.random.Generator], Scene]) -> None:
    for seed in range(40):
        view = view_of(make(np.random.default_rng(seed)))
        np.testing.assert_allclose(np.linalg.norm(view.normal, axis=-1), 1, atol=1e-3)
        assert np.isfinite(view.depth).all()
        assert view.depth.min() > 0


@pytest.mark.slow
def test_every_class_appears_often_enough_to_be_learnt() -> None:
    shares = {}
    for make, classes in ((furnished_room, 13), (road_between_buildings, 7)):
        labels = np.stack([view_of(make(np.random.default_rng(seed))).label for seed in range(60)])
        shares[make.__name__] = np.bincount(labels.ravel(), minlength=classes) / labels.size
        assert (shares[make.__name__] > 0.002).all()
    rooms, street = shares["furnished_room"], shares["road_between_buildings"]
    assert max(rooms) == rooms[WALL] < 0.6
    assert rooms[FLOOR] > 0.03
    assert rooms[CEILING] > 0.01
    assert street[FLAT] > 0.2
    assert street[SKY] > 0.05
    assert street[CONSTRUCTION] > 0.1


@pytest.mark.filterwarnings("ignore:.*results cannot be compared")
def test_rooms_are_written_in_mtans_layout_and_read_by_its_reader(tmp_path: Path) -> None:
    rooms = Rooms(train=10, test=3, size=SIZE)
    rooms.write_layout(tmp_path)
    assert {path.name for path in (tmp_path / "val").iterdir()} == {"image", "label", "depth", "normal"}
    assert np.load(tmp_path / "train/depth/9.npy").shape == (*SIZE, 1)
    reader = NYUv2MTAN(root=tmp_path)
    columns = reader.rows("test", 0, 3)
    assert columns["normals"].shape == (3, 3, *SIZE)
    invalid = (columns["depth"] == 0).mean()
    assert 0.005 < invalid < 0.05
    assert np.array_equal(columns["depth"] == 0, ~columns["normals"].any(axis=1))


def test_street_has_inverse_depth_and_no_depth_of_the_sky(tmp_path: Path) -> None:
    arrays = [Street().scene(SIZE, np.random.default_rng(seed)) for seed in range(10)]
    depth, label = (np.stack([scene[name] for scene in arrays]) for name in ("depth", "label"))
    assert not depth[label == SKY].any()
    assert 0.3 < depth.max() <= np.float32(LARGEST_INVERSE_DEPTH)
    near, far = depth[:, -8:][depth[:, -8:] > 0].mean(), depth[:, 28:36][depth[:, 28:36] > 0].mean()
    assert near > 3 * far


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rooms", "street"])
def test_same_seed_same_data_and_more_scenes_keep_those_before(name: str, tmp_path: Path) -> None:
    options = {"train": 10, "test": 3, "size": [32, 48]}
    for folder, changes in (("one", {}), ("same", {}), ("other", {"seed": 1})):
        prepare(Choice(name=name, options={**options, **changes}), tmp_path / folder)
    one, same, other = (open_prepared(tmp_path / folder).fingerprint for folder in ("one", "same", "other"))
    assert one == same != other
    with Image.open(tmp_path / "one/contact_sheet.png") as sheet:
        assert min(sheet.size) > 90
    summary = json.loads((tmp_path / "one/summary.json").read_text())
    assert summary["splits"] == {"train": 8, "val": 2, "test": 3}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other", "same"]
