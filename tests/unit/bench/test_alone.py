"""The whole hospital's drill against the sum of the single ones: the sum of each round, and their median."""

from bench.alone import told


def test_the_sum_is_that_of_each_round_and_the_share_that_of_the_medians() -> None:
    lines = told({"his": [10.0, 20.0, 12.0], "lis": [5.0, 6.0, 9.0]}, [9.0, 10.5, 30.0], 0.5)

    assert "3 rounds" in lines[0] and "at the start: 0.5" in lines[0]
    assert lines[4:] == [
        "| his-restore | 12.0 s |",
        "| lis-restore | 6.0 s |",
        "| these, one after another | 21.0 s (15.0 to 26.0) |",
        "| hospital-restore, all at once | 10.5 s (9.0 to 30.0) |",
        "| all at once, of one after another | 50% |",
    ]
