"""Whole programs, run under each malloc."""
