"""Print how often the right cause is named: ``python -m tests.verification.causes.measured FIRST N [AGAIN]``.

``N`` situations of each kind, in worlds of seeds from ``FIRST`` on; with ``AGAIN`` the command gets another seed.
"""

import sys

from tests.verification.causes.situations import Situation, confusion, seed_again, situations


def measured(first: int, n_each: int, *, again: bool) -> list[tuple[Situation, str]]:
    """Every situation with the cause that was named, a line each."""
    found: list[tuple[Situation, str]] = []
    for one in situations(first, n_each):
        cause = one.verdict(seed=seed_again(one.seed) if again else None).cause
        print("right" if cause == one.cause else "WRONG", one.name, cause, flush=True)
        found.append((one, cause))
    return found


if __name__ == "__main__":
    results = measured(int(sys.argv[1]), int(sys.argv[2]), again=len(sys.argv) > 3)
    for kind, named in confusion(results).items():
        print(kind, dict(named))
    print(sum(one.cause == cause for one, cause in results), "of", len(results))
