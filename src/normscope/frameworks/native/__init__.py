"""A spec as a framework's own layer: what the frameworks share of it."""

from normscope.frameworks.native.layer import NativeLayer as NativeLayer
