"""`keras.preprocessing.sequence` of Keras 1.2.2."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

pad_sequences = keras.utils.pad_sequences

EULER_MASCHERONI = 0.577


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> Array:
    """The probability with which the word of each rank is kept, as word2vec samples.

    With the frequency of a word taken from its rank by Zipf's law, 1 / f(rank) =
    rank * (log(rank) + 0.577) + 1/2 - 1 / (12 * rank), it is sqrt(sampling_factor / f(rank)).

    >>> make_sampling_table(3).round(4).tolist()
    [0.0032, 0.0032, 0.0055]
    """
    rank = np.arange(size, dtype=float)
    rank[:1] = 1
    inverse = rank * (np.log(rank) + EULER_MASCHERONI) + 0.5 - 1 / (12 * rank)
    table: Array = np.minimum(1.0, np.sqrt(sampling_factor * inverse))
    return table


def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Any = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pairs of words that stand near each other, with the label 1, and of words by chance, with 0.

    Args:
        sequence: indices of words; 0 is none.
        vocabulary_size: the largest index plus 1.
        window_size: how far apart the words of a pair may stand.
        negative_samples: how many pairs by chance there are for each near one.
        shuffle: whether the pairs are put in an order by chance.
        categorical: labels [0, 1] and [1, 0] in place of 1 and 0.
        sampling_table: the probability with which each word is kept.

    Returns:
        the pairs and their labels. Chance is that of the module `random`.

    >>> skipgrams([1, 2], 3, negative_samples=0, shuffle=False)
    ([[1, 2], [2, 1]], [1, 1])
    """
    near = [
        [word, other]
        for place, word in enumerate(sequence)
        if word and (sampling_table is None or sampling_table[word] >= random.random())
        for index, other in enumerate(sequence)
        if other and index != place and abs(index - place) <= window_size
    ]
    words = [word for word, _ in near]
    random.shuffle(words)
    apart = [
        [words[index % len(words)], random.randint(1, vocabulary_size - 1)]
        for index in range(int(len(near) * negative_samples))
    ]
    yes, no = ([0, 1], [1, 0]) if categorical else (1, 0)
    pairs = [(couple, yes) for couple in near] + [(couple, no) for couple in apart]
    if shuffle:
        random.shuffle(pairs)
    return [couple for couple, _ in pairs], [label for _, label in pairs]
