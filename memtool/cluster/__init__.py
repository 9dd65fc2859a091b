"""Measures blocks of a run on other machines: Dask sends them, memtool's own workers measure (docs/cluster.md, ADR 29).

``orders`` defines the messages, ``remote`` the functions that Dask calls on a host, and ``serving`` the process that
measures there. ``connection`` connects to the cluster, ``dispatcher`` hands out blocks and receives samples, ``ledger``
keeps them, and ``spread`` makes a run from all of it.
"""
