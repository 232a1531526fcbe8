"""Why is my loss flat? The author's first architecture and the repaired one on the same pairs of a known world.

About half a minute on one core.
"""

from diagnostics import main as gpcp


def main() -> None:
    print(__doc__)
    for preset in ("seed", "default"):
        print(f"\n{' preset ' + preset + ' ':=^100}\n")
        # The table says that the data hold the answer (ridge, the classical estimator and the exact law find it); the
        # verdict says why one model does not: what its configuration rules out beside what the run measured.
        gpcp(
            [
                "recover-graph",
                *("--preset", preset, "--world", "scale_free/8", "--regime", "interventional", "--regime", "matched"),
                *("--seeds", "1", "--steps", "200", "--workers", "1", "--quiet", "--out", f"runs/why_flat/{preset}"),
            ]
        )


if __name__ == "__main__":
    main()
