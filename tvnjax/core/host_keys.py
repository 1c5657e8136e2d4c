"""Names under which the processes of a run leave word for one another, and what their services agree on."""

ALIVE, ENDED, DONE, GONE = "tvnjax/alive", "tvnjax/ended", "tvnjax/done", "tvnjax/gone"
"""Each with the number of a process behind it: a count that rises, why it ended before its time, that it is done with
what all do together, that it lets go of the service."""

KILLED = "it was killed or crashed"

LONG_S = 600
"""Seconds after which JAX's own watch would end a process; that of ``core.hosts`` is there long before."""
