"""Offline packing, native."""
