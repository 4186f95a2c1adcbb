# SPDX-License-Identifier: BSD-3-Clause
"""Data on the host: loading, checking, label encoding, splitting and standardizing; and data that stay in storage.

Everything here happens once, before training. Only the checks in :mod:`softmax_xp.data.validation`
and :meth:`Standardization.apply` touch arrays that may live on a device. scikit-learn, SciPy, h5py, zarr and
pyarrow are imported by the functions that need them, when they are called.
"""

__all__ = [
    "ArraySource",
    "Dataset",
    "SelectedRows",
    "ShardedSource",
    "Source",
    "Split",
    "Standardization",
    "check_lengths",
    "check_matrix",
    "check_sample_weight",
    "check_soft_targets",
    "encode_labels",
    "fingerprint_of",
    "fit_standardization",
    "load_dataset",
    "load_digits",
    "load_fashion_mnist",
    "open_source",
    "stratified_split",
    "write_csr",
]

from softmax_xp.data.csr_writer import write_csr
from softmax_xp.data.dataset import Dataset
from softmax_xp.data.digits import load_digits
from softmax_xp.data.fashion_mnist import load_fashion_mnist
from softmax_xp.data.labels import encode_labels
from softmax_xp.data.load import load_dataset
from softmax_xp.data.open_source import open_source
from softmax_xp.data.selected_rows import SelectedRows
from softmax_xp.data.sharded import ShardedSource
from softmax_xp.data.source import ArraySource, Source, fingerprint_of
from softmax_xp.data.splits import Split, stratified_split
from softmax_xp.data.standardize import Standardization, fit_standardization
from softmax_xp.data.validation import check_lengths, check_matrix, check_sample_weight, check_soft_targets
