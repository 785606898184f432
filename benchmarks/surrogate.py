"""Tells what a configuration is worth, by its own trainings and those of configurations like it.

The best of many configurations in a few trainings is a lucky one. Those that lie near it are worth
nearly the same, so that all of them together tell better what another training of it would give;
`search_quality` says how much better.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

LEAST = 0.005
"""Added to every error, so that one of nothing has a logarithm."""


class Surrogate:
    """A Gaussian process for the logarithm of the error, which is a few percent or nearly all.

    Args:
        points: where configurations lie [configurations, coordinates].
        accuracies: what each reached on average, from 0 to 1.
    """

    def __init__(self, points: NDArray[np.float64], accuracies: NDArray[np.float64]) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        kernel = ConstantKernel() * Matern(nu=2.5) + WhiteKernel()
        self.process = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings():  # of a noise that is at its limit where there is none
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.process.fit(points, np.log(1 + LEAST - accuracies))

    def worth(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the accuracy that is expected of configurations [configurations]."""
        expected: NDArray[np.float64] = 1 + LEAST - np.exp(self.process.predict(points))
        return expected
