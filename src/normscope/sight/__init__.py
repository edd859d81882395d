"""Who depends on whom, from what changes: index sets, words, sentences. Nothing is called here."""
