"""Strategies in readable Python: the oracle that the engine's are compared with, and templates for one's own.

Each is one class over a Region, has the parameters of the strategy in the engine that bears its name, and hands out the
same addresses wherever the policy determines them. They keep their books in Python's own objects, and leave in the
region the room that the books would take there.
"""
