"""Hostile and broken files of every format, and good ones among them that must be read.

`case` says what a case is; the modules `of_...` write the files, one format each; `mutants` damages
good files at random. `worker` runs the command on one file after the other in one process and
watches what it does; `pool` keeps a few of these processes; `judgement` says what must hold.
"""
