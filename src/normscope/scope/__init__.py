"""Which positions of a model's inputs does each position of its outputs depend on?"""

from normscope.scope.first import First as First
from normscope.scope.result import Dependence as Dependence, ModeScope as ModeScope, Scope as Scope
from normscope.scope.scope import scope as scope
