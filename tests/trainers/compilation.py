"""Watching the compiler."""

import jax._src.test_util


def no_compilation():
    """Fails where anything is compiled."""

    class Guard:
        def __enter__(self):
            self.counter = jax._src.test_util.count_jit_compilation_cache_miss()  # type: ignore[attr-defined]
            self.count = self.counter.__enter__()

        def __exit__(self, *raised):
            self.counter.__exit__(*raised)
            if raised[0] is None:
                assert self.count() == 0

    return Guard()
