"""File or object -> `ModelGraph`: one reader in each module, and the registry of all."""
