from search.document.seeding import derive_seed


def test_a_seed_depends_on_every_part_and_their_order() -> None:
    parts: list[tuple[int | str, ...]] = [
        (0, "trial", 1),
        (0, "trial", 2),
        (1, "trial", 0),
        (0, 1, "trial"),
        (0, "trial1"),
        (0,),
    ]
    seeds = [derive_seed(*one) for one in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_seed_is_the_same_in_every_version() -> None:
    assert derive_seed(0, "trial", 1) == SEED_OF_TRIAL_1


SEED_OF_TRIAL_1 = 3_469_216_260
"""Studies that were begun before must go on with the same seeds."""
