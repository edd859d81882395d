"""What a layer remembers: running statistics, what training makes of them, how they are used."""
