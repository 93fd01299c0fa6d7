"""Messages to people: a sweep has ended, stalls, fails too often, or has used its budget."""

from mtlsweep.sweep.notify.notifier import Notifier

__all__ = ["Notifier"]
