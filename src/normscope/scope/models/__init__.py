"""One thin file per framework: how a whole model is called, put back, and watched inside."""

from normscope.scope.models.choose import model_of as model_of
