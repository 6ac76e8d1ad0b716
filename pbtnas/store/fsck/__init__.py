"""`pbtnas fsck`: is everything in a directory what it was when it was written?"""

from pbtnas.store.fsck.examination import Fault
from pbtnas.store.fsck.repairing import repair
from pbtnas.store.fsck.run import check
from pbtnas.store.fsck.study import check_study

__all__ = ["Fault", "check", "check_study", "repair"]
