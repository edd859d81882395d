"""Say what a normalization computes: words, numbers, formula and picture."""

from normscope.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
