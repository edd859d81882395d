"""Say what a normalization computes: words, numbers, formula and picture."""

from normscope.explain.explain import explain
from normscope.explain.result import Explanation

__all__ = ["Explanation", "explain"]
