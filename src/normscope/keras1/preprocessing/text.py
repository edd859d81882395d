"""`keras.preprocessing.text` of Keras 1.2.2."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from normscope.errors import SpecError

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
MODES = ("binary", "count", "freq", "tfidf")


def text_to_word_sequence(
    text: str, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """The words of a text.

    Args:
        text: the text.
        filters: characters that stand between words.
        lower: whether all become lower case.
        split: what else stands between words.

    >>> text_to_word_sequence("It's Keras, again!")
    ["it's", 'keras', 'again']
    """
    if lower:
        text = text.lower()
    for character in filters:
        text = text.replace(character, split)
    return [word for word in text.split(split) if word]


def one_hot(
    text: str, n: int, filters: str = FILTERS, lower: bool = True, split: str = " "
) -> list[int]:
    """A number from 1 to n - 1 for each word of a text, by its hash; two words may share one."""
    return [
        abs(hash(word)) % (n - 1) + 1 for word in text_to_word_sequence(text, filters, lower, split)
    ]


class Tokenizer:
    """Numbers for words, the more frequent word the smaller one, from 1.

    Args:
        nb_words: only numbers below it are used.
        filters, lower, split: as in `text_to_word_sequence`.
        char_level: whether characters are the words.

    >>> tokenizer = Tokenizer()
    >>> tokenizer.fit_on_texts(["to be or not to be", "to do"])
    >>> tokenizer.texts_to_sequences(["be to"])
    [[2, 1]]
    """

    def __init__(
        self,
        nb_words: int | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
    ) -> None:
        self.nb_words = nb_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.char_level = char_level
        self.word_counts: Counter[str] = Counter()
        self.word_docs: Counter[str] = Counter()
        self.word_index: dict[str, int] = {}
        self.index_docs: dict[int, int] = {}
        self.document_count = 0

    def _words(self, text: str) -> Sequence[str]:
        if self.char_level:
            return text
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[str]) -> None:
        """Learn the words of texts."""
        self.document_count = 0
        for text in texts:
            self.document_count += 1
            words = self._words(text)
            self.word_counts.update(words)
            self.word_docs.update(set(words))
        ranked = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        self.word_index = {word: number for number, word in enumerate(ranked, start=1)}
        self.index_docs = {self.word_index[word]: n for word, n in self.word_docs.items()}

    def fit_on_sequences(self, sequences: Sequence[Sequence[int]]) -> None:
        """Learn in how many sequences each number is."""
        self.document_count = len(sequences)
        self.index_docs = dict(Counter(n for sequence in sequences for n in set(sequence)))

    def texts_to_sequences(self, texts: Iterable[str]) -> list[list[int]]:
        """The numbers of the words of each text; unknown words are left out."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[str]) -> Iterator[list[int]]:
        """The numbers of the words of each text, one after the other."""
        most = self.nb_words or math.inf
        for text in texts:
            numbers = (self.word_index.get(word) for word in self._words(text))
            yield [number for number in numbers if number is not None and number < most]

    def texts_to_matrix(self, texts: Iterable[str], mode: str = "binary") -> npt.NDArray[Any]:
        """A row for each text; see `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(
        self, sequences: Sequence[Sequence[int]], mode: str = "binary"
    ) -> npt.NDArray[Any]:
        """A row for each sequence, with a column for each number.

        Args:
            sequences: of numbers.
            mode: "binary": 1 for what is there; "count": how often; "freq": as a share; "tfidf":
                (1 + log(count)) * log(1 + documents / (1 + documents with it)).

        Raises:
            SpecError: an unknown mode, or nothing was fitted.
        """
        if mode not in MODES:
            raise SpecError(f"mode is {', '.join(map(repr, MODES))}, not {mode!r}")
        if not (self.nb_words or self.word_index) or (mode == "tfidf" and not self.document_count):
            raise SpecError("call tokenizer.fit_on_texts(texts) first")
        columns = self.nb_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), columns))
        for row, sequence in zip(matrix, sequences, strict=True):
            for number, count in Counter(n for n in sequence if n < columns).items():
                row[number] = self._weight(mode, number, count, len(sequence))
        return matrix

    def _weight(self, mode: str, number: int, count: int, length: int) -> float:
        if mode == "binary":
            return 1.0
        if mode == "count":
            return float(count)
        if mode == "freq":
            return count / length
        rarity = math.log(1 + self.document_count / (1 + self.index_docs.get(number, 0)))
        return (1 + math.log(count)) * rarity
