"""`python -m normscope`: the command, where the folder of scripts is not on the path."""

from normscope.cli import main

main()
