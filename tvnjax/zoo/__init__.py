"""Networks people know, lowered to the primitive layers of ``tvnjax.graph.network``: counted, timed, drawn, trained and
exported by the code that serves Tiny Video Networks. Plain Python, as ``tvnjax.graph`` is."""
