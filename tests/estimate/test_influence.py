"""A result without each of its experiments."""

import numpy as np
import pytest
from experiments import experiment

from halfmax.errors import FitError
from halfmax.estimate import Estimate, Parameter, combine, leave_one_out


def test_each_result_is_the_combination_of_the_others():
    estimates = [experiment(value, name) for value, name in ((4e-6, "mon"), (5e-6, "tue"), (2e-5, "wed"))]
    found = leave_one_out(estimates, label="X")
    assert len(found) == 3
    for index, without in enumerate(found):
        rest = combine([e for k, e in enumerate(estimates) if k != index])["ec50"]
        assert (without["ec50"].value, without["ec50"].high) == (rest.value, rest.high)
    assert found.names == ("mon", "tue", "wed")
    assert found.without[0].label == "X, without experiment mon"


def test_the_experiment_that_moves_the_result_most_is_named_with_its_shift():
    found = leave_one_out([experiment(v) for v in (4e-6, 5e-6, 2e-5)])
    assert found.most == "3"
    logs = np.log10([4e-6, 5e-6, 2e-5])
    assert found.shifts == pytest.approx([np.delete(logs, k).mean() - logs.mean() for k in range(3)])


def test_experiments_that_all_agree_name_none():
    assert leave_one_out([experiment(5e-6)] * 3).most == ""


def test_a_plateau_moves_by_a_difference():
    tops = [Estimate("x", (Parameter("top", v, v - 1, v + 1, best=v, se=0.1),)) for v in (1.0, 2.0, 6.0)]
    assert leave_one_out(tops, parameter="top").shifts == pytest.approx([1.0, 0.5, -1.5])


def test_leaving_out_the_only_bound_closes_the_interval():
    found = leave_one_out([experiment(4e-6), experiment(5e-6), experiment(1e-5, operator=">")])
    assert [one["ec50"].operator for one in found] == [">", ">", "="]


def test_the_method_is_that_of_the_whole():
    found = leave_one_out([experiment(v) for v in (4e-6, 5e-6, 2e-5)], method="random effects")
    assert {one.model for one in (found.whole, *found)} == {"random effects"}


def test_two_experiments_are_too_few():
    with pytest.raises(FitError, match=r"needs at least 3 experiments, found 2\. .*add experiments"):
        leave_one_out([experiment(4e-6), experiment(5e-6)])
