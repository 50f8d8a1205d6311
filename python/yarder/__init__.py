"""Yarder from Python: `yarder.log` reads streams straight from their files, `yarder.live` current values out of shared
memory. Standard library only."""
