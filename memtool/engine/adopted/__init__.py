"""Allocators that are loaded at run time."""
