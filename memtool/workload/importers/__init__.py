"""Reads the files of other tools as traces."""
