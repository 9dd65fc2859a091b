"""The start of a worker's process: it imports the rest, which Python keeps compiled.

A file that is run by its path is compiled at every start, which takes 7 ms for the whole of child.py.
"""

import sys

sys.path.insert(0, __file__.rpartition("/memtool/")[0])

from memtool.worker.child import main  # the line above says where it is

main()
