"""Do samples see each other in a model? And what do its outputs depend on?"""

from normscope.scope.first import First as First
from normscope.scope.result import Dependence as Dependence, ModeScope as ModeScope, Scope as Scope
from normscope.scope.scope import scope as scope
from normscope.sight.verdict import Samples as Samples, Through as Through, Word as Word
