"""What does a layer compute? Asked from outside: it is called, and nothing it says is trusted."""

from normscope.identify.identify import identify as identify
from normscope.identify.result import Identification as Identification, Kind as Kind
