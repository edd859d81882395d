"""The command line: arguments in, text and an exit status out; no logic."""

from normscope.cli.application import app as app, main as main
