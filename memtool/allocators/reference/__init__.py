"""Strategies in readable Python: the oracle with which the engine's are compared, and templates for your own.

Each is one class over a Region, has the parameters of the engine's strategy of the same name, and returns the same
addresses wherever the policy determines them. Their accounts are Python objects, but they leave the room in the region
that the accounts would take there.
"""
