"""The scripts are read by test_scripts.py, and are no modules to import."""

collect_ignore_glob = ["scripts/*"]
