"""Yarder from Python: `yarder.log` reads streams straight from their files. Standard library only."""
