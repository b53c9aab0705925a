"""What the fork server imports last: what it has imported stays memory that its children share.

Python's garbage collector writes into each object that it visits, and so each camera process came to have a copy of
every page with objects on it. It never visits frozen ones.
"""

from __future__ import annotations

import gc

from soteirad.service.memory import few_arenas

few_arenas()
gc.collect()
gc.freeze()
