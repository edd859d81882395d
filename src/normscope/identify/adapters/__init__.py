"""One thin file per framework: what the core needs of a layer, and nothing else.

A framework's adapter is chosen by the names of the modules that the layer's classes come from; no
framework is imported to find out.
"""

from normscope.identify.adapters.choose import adapt as adapt
