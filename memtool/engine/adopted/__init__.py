"""Allocators that came at run time."""
