"""QM9: eleven properties of small organic molecules, from the atoms' positions."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from pydantic import Field

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Columns, Dataset
from mtlsweep.suites.datasets.standardise import standardise
from mtlsweep.suites.tasks.quantity import Quantity

ELEMENTS = ("H", "C", "N", "O", "F")
MOLECULES = 130_831
MOST_ATOMS, MOST_HEAVY_ATOMS = 29, 9
ATOMS, POSITIONS, HYDROGENS = "atoms", "positions", "hydrogens"
HARTREE_IN_MEV = 27_211.386246
FILES = ("qm9_part1.csv", "qm9_part2.csv", "qm9_part3.csv")

_FREE_ATOMS = {  # energies of free atoms in hartree, by ELEMENTS; B3LYP/6-31G(2df,p), `atomref.txt` of the data's release
    "U0": (-0.500273, -37.846772, -54.583861, -75.064579, -99.718730),
    "U": (-0.498857, -37.845355, -54.582445, -75.063163, -99.717314),
    "H": (-0.497912, -37.844411, -54.581501, -75.062219, -99.716370),
    "G": (-0.510927, -37.861317, -54.598897, -75.079532, -99.733544),
}


class _Property(NamedTuple):
    column: str
    unit: str
    factor: float = 1.0
    """From the file's unit to `unit`."""


_PROPERTIES = {
    "mu": _Property("Dipole_debye", "D"),
    "alpha": _Property("Polarizability_bohr3", "bohr^3"),
    "homo": _Property("HOMO_au", "meV", HARTREE_IN_MEV),
    "lumo": _Property("LUMO_au", "meV", HARTREE_IN_MEV),
    "r2": _Property("R2_bohr2", "bohr^2"),
    "zpve": _Property("ZPVE_au", "meV", HARTREE_IN_MEV),
    "U0": _Property("InternalEnergy_0K_au", "meV", HARTREE_IN_MEV),
    "U": _Property("InternalEnergy_298K_au", "meV", HARTREE_IN_MEV),
    "H": _Property("Enthalphy_298K_au", "meV", HARTREE_IN_MEV),
    "G": _Property("GibbsFreeEnergy_298K_au", "meV", HARTREE_IN_MEV),
    "Cv": _Property("Heatcapacity_Cv_cal_mol_K", "cal/(mol K)"),
}

Count = Annotated[int, Field(ge=2)]


@DATASETS.register("qm9")
class QM9(Dataset):
    """Molecules of up to nine heavy atoms; the eleven targets of the multi-task literature, in its order.

    The 130,831 molecules of the package `qm9pack` (Ramakrishnan et al. 2014, without those whose geometry is
    uncertain). Targets as in Navon et al. (Nash-MTL, 2022): without the gap; U0, U, H and G as atomisation
    energies; energies in meV; standardised by the training split's mean and deviation. The paper's networks
    also see bond orders and further atom features that RDKit computes; here a molecule is its elements and
    positions alone.

    Inputs: `atoms` [rows, A], 1 to 5 for H, C, N, O, F and 0 for none; `positions` [rows, A, 3] in angstrom; and
    `hydrogens` [rows, A], the number of hydrogens that are left out and were nearest to each atom.

    Options:
        train, val, test: number of molecules, drawn at random.
        hydrogens: whether hydrogens are atoms of their own (A is 29). Without them A is 9, which makes a network
            over all pairs of atoms about ten times cheaper, and less accurate.
        seed: of the draw.
    """

    inputs = (ATOMS, POSITIONS, HYDROGENS)
    scales: Mapping[str, float] = {}

    def __init__(
        self,
        *,
        train: Count = 110_000,
        val: Count = 10_000,
        test: Count = 10_000,
        hydrogens: bool = True,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        counts = {"train": train, "val": val, "test": test}
        if sum(counts.values()) > MOLECULES:
            raise UserError(
                f"dataset qm9: train + val + test is {sum(counts.values())}, and there are {MOLECULES} molecules: ask for fewer."
            )
        order = np.random.default_rng([seed]).permutation(MOLECULES)[: sum(counts.values())]
        molecules = _read_files(_package_directory()).take(order)
        self._counts, self._hydrogens = counts, hydrogens
        self._places = molecules.column("XYZ_Ang")
        self._elements = _elements(molecules)
        self._targets: Columns = {}
        self._statistics: dict[str, dict[str, float]] = {}
        for name, values in _targets(molecules, self._elements).items():
            scored, self._statistics[name] = standardise(values, name, np.arange(train))
            self._targets[name] = scored.astype(np.float32)
        self.tasks = tuple(
            Quantity(name, deviation=self._statistics[name]["deviation"], unit=one.unit)
            for name, one in _PROPERTIES.items()
        )

    def sizes(self) -> Mapping[str, int]:
        return self._counts

    def rows(self, split: str, start: int, stop: int) -> Columns:
        before = sum(self._counts[name] for name in SPLITS[: SPLITS.index(split)])
        chosen = slice(before + start, before + min(stop, self._counts[split]))
        places = [np.array(json.loads(text), np.float32) for text in self._places[chosen].to_pylist()]
        form = _with_hydrogens if self._hydrogens else _without_hydrogens
        inputs = form(self._elements[chosen], places)
        return {**inputs, **{name: column[chosen] for name, column in self._targets.items()}}

    def notes(self) -> Mapping[str, Any]:
        statistics = {name: {**self._statistics[name], "unit": one.unit} for name, one in _PROPERTIES.items()}
        return {"source": "qm9pack", "targets": statistics}


def _package_directory() -> Path:
    """Return the folder of the CSV files; the package is not imported, since its reader needs `pkg_resources`."""
    found = importlib.util.find_spec("qm9pack")
    if found is None or not found.submodule_search_locations:
        raise UserError("dataset qm9: the package `qm9pack` is not installed: `pip install 'mtlsweep[qm9]'` (104 MB).")
    return Path(next(iter(found.submodule_search_locations)), "data")


def _read_files(folder: Path) -> pa.Table:
    columns = ["Elements", "XYZ_Ang", *(one.column for one in _PROPERTIES.values())]
    options = pa.csv.ConvertOptions(include_columns=columns)
    try:
        table = pa.concat_tables([pa.csv.read_csv(folder / name, convert_options=options) for name in FILES])
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise UserError(
            f"dataset qm9: the files in {folder} cannot be read ({error}): install `qm9pack` again."
        ) from error
    if len(table) != MOLECULES:
        raise UserError(
            f"dataset qm9: the files in {folder} hold {len(table)} molecules instead of {MOLECULES}: install `qm9pack` again."
        )
    return table.combine_chunks()


def _elements(molecules: pa.Table) -> np.ndarray:
    """Return the atoms [rows, 29], numbered from 1 by ELEMENTS, 0 for none (uint8)."""
    numbers = {element: number for number, element in enumerate(ELEMENTS, start=1)}
    padded = np.zeros((len(molecules), MOST_ATOMS), np.uint8)
    for row, text in zip(padded, molecules.column("Elements").to_pylist(), strict=True):
        symbols = text.strip("[]").replace("'", "").split(",")
        row[: len(symbols)] = [numbers[symbol] for symbol in symbols]
    return padded


def _targets(molecules: pa.Table, elements: np.ndarray) -> dict[str, np.ndarray]:
    """Return each target [rows] in its unit, float64."""
    counts = np.stack([(elements == number).sum(axis=1) for number in range(1, len(ELEMENTS) + 1)], axis=1)
    values = {}
    for name, one in _PROPERTIES.items():
        column = molecules.column(one.column).to_numpy().astype(np.float64)
        free = counts @ np.array(_FREE_ATOMS[name]) if name in _FREE_ATOMS else 0.0
        values[name] = (column - free) * one.factor
    return values


def _with_hydrogens(elements: np.ndarray, places: list[np.ndarray]) -> Columns:
    columns = _empty(len(elements), MOST_ATOMS)
    columns[ATOMS][:] = elements
    for row, place in enumerate(places):
        columns[POSITIONS][row, : len(place)] = place
    return columns


def _without_hydrogens(elements: np.ndarray, places: list[np.ndarray]) -> Columns:
    columns = _empty(len(elements), MOST_HEAVY_ATOMS)
    for row, (molecule, place) in enumerate(zip(elements, places, strict=True)):
        heavy, light = np.flatnonzero(molecule > 1), np.flatnonzero(molecule == 1)
        distances = np.linalg.norm(place[light, None] - place[None, heavy], axis=2)
        columns[ATOMS][row, : len(heavy)] = molecule[heavy]
        columns[POSITIONS][row, : len(heavy)] = place[heavy]
        columns[HYDROGENS][row, : len(heavy)] = np.bincount(distances.argmin(axis=1), minlength=len(heavy))
    return columns


def _empty(rows: int, atoms: int) -> Columns:
    return {
        ATOMS: np.zeros((rows, atoms), np.uint8),
        POSITIONS: np.zeros((rows, atoms, 3), np.float32),
        HYDROGENS: np.zeros((rows, atoms), np.uint8),
    }
