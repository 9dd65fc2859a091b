"""Blocks of a run on other machines: Dask brings them there, memtool's own workers measure (docs/cluster.md, ADR 29).

``orders`` is what travels, ``remote`` what Dask calls on a host, ``serving`` the process that measures there;
``connection`` reaches the cluster, ``dispatcher`` hands blocks out and takes samples in, ``ledger`` keeps them, and
``spread`` makes a run of it all.
"""
