"""Recordings of programs, and the matching of addresses to objects, native."""
