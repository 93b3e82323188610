"""`load`, which reads, splits and scales a data set that is given by its name or its path."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.data import files, synthetic, tables, vision
from search.data.dataset import Data, Raw
from search.data.scaling import SCALES, Scaling, fit
from search.data.split import VALIDATIONS, validate_shares
from search.errors import RequestError, clip, unknown

DATASETS: tuple[str, ...] = (*tables.TABLES, *synthetic.OPTIONS, *vision.SOURCES)


def load(
    dataset: str,
    *,
    target: str | None = None,
    scale: str = "standard",
    split: tuple[float, float, float] = (0.6, 0.2, 0.2),
    validation: str = "train",
    seed: int = 0,
    data_dir: Path = Path("data"),
    offline: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Data:
    """Read, split and scale a data set. The result depends only on the arguments and the files.

    Args:
        dataset: one of `DATASETS`, or the path of a .csv, a .parquet, an .npz or a folder of images; see `files`.
        target: the column of a table to predict.
        scale: the scaling of the features: "standard" (mean 0, SD 1), "unit" (pixels or the training range to [0, 1])
            or "none"; see `scaling.fit`. The targets of a regression are always standardised.
        split: the shares of training, validation and test rows. Data sets with an official test set (mnist,
            fashion-mnist, cifar10, some .npz files) keep it, and take split[1] of the other rows for validation. line
            and polynomial draw each part separately, with the numbers of rows in their options.
        validation: the source of the validation rows. "train": the rows to train on, as `split` says. For data sets
            with an official test set, all other rows then train: "half-of-test" takes a random half of the test rows,
            and the other half is the test part; "test" takes all test rows, so validation and test are the same rows.
        seed: the seed of the split, and of the draws of line and polynomial.
        data_dir: torchvision's root folder, for mnist, fashion-mnist and cifar10.
        offline: whether downloads are forbidden.
        options: the options of line and polynomial (see `synthetic.OPTIONS`) or of a path (see `files.read`).

    Raises:
        RequestError: a name or an option is unknown, a value is out of range, the data are not as they should be, or
            files are missing and `offline` is set.
        EnvironmentFault: a library or a file is missing or damaged, or a download fails.

    Example:
        >>> digits = load("digits")
        >>> digits.features, digits.outputs, digits.image_shape
        (64, 10, (1, 8, 8))
    """
    own = is_path(dataset)
    if not own and dataset not in DATASETS:
        if hint := files.without_suffix(dataset):
            raise RequestError(f"unknown dataset {clip(dataset)!r}{hint}")
        raise RequestError(f"{str(unknown('dataset', dataset, DATASETS))[:-1]}; or a path: {files.KINDS})")
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise RequestError(f"seed must be a whole number >= 0, got {seed!r}")
    if target is not None and not own:
        raise files.not_a_table(target, f"dataset {dataset}")
    if options and not own and dataset not in synthetic.OPTIONS:
        raise RequestError(f"dataset {dataset} takes no options, got {', '.join(sorted(options))}")
    if validation not in VALIDATIONS:
        raise unknown("validation", validation, VALIDATIONS)
    if validation != "train" and not own and dataset not in vision.SOURCES:
        raise RequestError(
            f"validation {validation!r} is for datasets with an official test set ({', '.join(vision.SOURCES)}),"
            f" got dataset {dataset}"
        )
    shares = validate_shares(split)
    if own:
        raw = files.read(dataset, target, shares, validation, seed, options or {})
    elif dataset in tables.TABLES:
        raw = tables.read(dataset, shares, seed)
    elif dataset in synthetic.OPTIONS:
        raw = synthetic.draw(dataset, seed, options or {})
    else:
        raw = vision.read(dataset, shares, validation, seed, Path(data_dir), offline)
    return _scaled(dataset_name(dataset), raw, scale)


def is_path(dataset: str) -> bool:
    """Return whether this is the path of a user's data, not the name of a data set."""
    return dataset not in DATASETS and files.is_path(dataset)


def resolve_dataset(dataset: str, folder: Path | None = None) -> str:
    """Return the path of a data set below `folder`, or its absolute path if that is None; names are kept."""
    if dataset in DATASETS or not (is_path(dataset) or (folder and os.path.isdir(folder / dataset))):
        return dataset
    path = files.expanded(dataset)
    return os.path.abspath(path) if folder is None else str(folder / path)


def dataset_name(dataset: str) -> str:
    """Return the name of a data set in a study: its own, or ``houses`` for the path data/houses.csv."""
    return files.stem(dataset) if is_path(dataset) else dataset


def _scaled(name: str, raw: Raw, scale: str) -> Data:
    inputs = fit(scale, raw.train.x, raw.pixel_max, raw.channels)
    targets: Scaling | None = None
    parts = [raw.train.y, raw.val.y, raw.test.y]
    if raw.task == "regression":
        targets = fit("standard", raw.train.y)
        parts = [targets.apply(y) for y in parts]
    return Data(
        name=name,
        task=raw.task,
        x_train=inputs.apply(raw.train.x),
        y_train=parts[0],
        x_val=inputs.apply(raw.val.x),
        y_val=parts[1],
        x_test=inputs.apply(raw.test.x),
        y_test=parts[2],
        outputs=len(raw.classes) or raw.train.y.shape[1],
        inputs=inputs,
        targets=targets,
        image_shape=raw.image_shape,
        classes=raw.classes,
        pixel_max=None if raw.pixel_max is None else float(raw.pixel_max),
        columns=raw.columns,
        notes=raw.notes,
    )
