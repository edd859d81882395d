"""One rule per file; `normscope.audit.catalogue` finds them here."""
