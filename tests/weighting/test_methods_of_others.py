"""Every method of TorchJD and of LibMTL is here by another name, or the page says why it is not."""

import re
from pathlib import Path

import pytest
import torchjd.aggregation
import torchjd.scalarization

from mtlsweep.methods.weighting import WEIGHTINGS, describe_methods

TORCHJD = {
    "AlignedMTL": "aligned_mtl",
    "CAGrad": "cagrad",
    "ConFIG": "config",
    "CRMOGM": "cr_mogm",
    "Constant": "scalar",
    "DualProj": "dual_proj",
    "DWA": "dwa",
    "ExcessMTL": "excess_mtl",
    "FAMO": "famo",
    "FairGrad": "fairgrad",
    "GeometricMean": "gls",
    "GradDrop": "graddrop",
    "GradVac": "gradvac",
    "IMTLG": "imtl_g",
    "IMTLL": "imtl_l",
    "MGDA": "mgda",
    "Mean": "ew",
    "MoDo": "modo",
    "NashMTL": "nash_mtl",
    "PCGrad": "pcgrad",
    "Random": "rlw",
    "SDMGrad": "sdmgrad",
    "STCH": "stch",
    "Sum": "ew",
    "UPGrad": "upgrad",
    "UW": "uw",
}

LIBMTL = {
    "Aligned_MTL": "aligned_mtl",
    "AutoLambda": "auto_lambda",
    "CAGrad": "cagrad",
    "DB_MTL": "db_mtl",
    "DWA": "dwa",
    "EW": "ew",
    "ExcessMTL": "excess_mtl",
    "FAMO": "famo",
    "FairGrad": "fairgrad",
    "GLS": "gls",
    "GradDrop": "graddrop",
    "GradNorm": "gradnorm",
    "GradVac": "gradvac",
    "IMTL": "imtl",
    "MGDA": "mgda",
    "MoCo": "moco",
    "MoDo": "modo",
    "Nash_MTL": "nash_mtl",
    "PCGrad": "pcgrad",
    "RLW": "rlw",
    "SDMGrad": "sdmgrad",
    "STCH": "stch",
    "UPGrad": "upgrad",
    "UW": "uw",
}
"""Those of its repository in May 2025; the release of that number, 1.1.5, has twelve of them."""

LEFT_OUT = {"Krum", "TrimmedMean", "PBI", "COSMOS", "PCD", "MOML", "FORUM"}

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()


def test_no_method_of_torchjd_is_missing_without_a_reason():
    listed = {*torchjd.aggregation.__all__, *torchjd.scalarization.__all__}
    bases = {"Aggregator", "GramianWeightedAggregator", "WeightedAggregator", "Weighting", "Scalarizer"}
    theirs = {name.removesuffix("Weighting") for name in listed - bases}
    assert theirs <= TORCHJD.keys() | LEFT_OUT
    assert TORCHJD.keys() <= theirs


@pytest.mark.parametrize("name", sorted({*TORCHJD.values(), *LIBMTL.values()}))
def test_what_stands_for_a_method_of_theirs_is_here_and_says_where_it_comes_from(name):
    assert name in WEIGHTINGS.names()
    (row,) = (row for row in describe_methods() if row.name == name)
    assert row.paper


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_the_page_says_why_a_method_is_left_out(name):
    (section,) = re.findall(r"## Left out\n.*?(?=\n## )", PAGE, re.DOTALL)
    assert f"`{name}`" in section
