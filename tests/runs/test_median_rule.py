"""The median rule: equal steps, a grace of half the steps, enough others, and nothing else."""

from pathlib import Path

from nasviz.runs import Evaluation
from nasviz.runs.median_rule import clear_verdict, judge, read_verdict, write_verdict


def evaluations(*accuracies: float, network: str = "full") -> list[Evaluation]:
    """One at the end of each epoch of ten steps."""
    return [Evaluation(10 * i + 9, i, network, 1.0, a, 360) for i, a in enumerate(accuracies)]


OTHERS = [evaluations(0.2, 0.6, 0.7), evaluations(0.1, 0.8), evaluations(0.3, 0.7)]


def test_a_run_below_the_median_at_the_same_step_is_hopeless(tmp_path: Path) -> None:
    verdict = judge(evaluations(0.3, 0.5), OTHERS, 40)
    assert verdict is not None
    assert (verdict.step, verdict.accuracy, verdict.median, verdict.num_others) == (19, 0.5, 0.7, 3)
    assert judge(evaluations(0.3, 0.7), OTHERS, 40) is None  # at the median
    assert judge(evaluations(0.75, 0.5), OTHERS, 40) is None  # its best counts

    write_verdict(tmp_path, verdict)
    assert read_verdict(tmp_path) == verdict
    assert "best accuracy 50.0%, median of 3 other runs 70.0%" in str(verdict)
    clear_verdict(tmp_path)
    assert read_verdict(tmp_path) is None


def test_there_is_hope_early_and_where_too_little_is_known() -> None:
    assert judge(evaluations(0.0), OTHERS, 40) is None  # not half of its steps
    assert judge(evaluations(0.0, 0.0, 0.0), OTHERS, 60) is None  # one other came as far
    assert judge(evaluations(0.0, 0.0, 0.0), OTHERS, 40).step == 19  # where enough others were
    assert judge(evaluations(0.0, 0.0), OTHERS[:1], 40) is None
    assert judge([], OTHERS, 40) is None
    assert judge(evaluations(0.0, 0.0), OTHERS, None) is None
    assert judge(evaluations(0.0, 0.0, network="subnet"), OTHERS, 40) is None
